"""How SES is reached and by whom: what makes the client, and the credentials it signs with."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from rq_ses.settings.setting import Count, Real, setting
from rq_ses_worker.identity.endpoints import configured_endpoint
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.wire.deadline import MIN_UPLOAD_RATE, SLOWEST_UPLOAD, Timeout
from rq_ses_worker.settings import values
from rq_ses_worker.settings.endpoint import EndpointSettings
from rq_ses_worker.settings.key import KeySettings

if TYPE_CHECKING:
    from rq_ses_worker.identity.source import CredentialSource
    from rq_ses_worker.ses.client import SesClient
    from rq_ses_worker.ses.endpoint import Endpoint
    from rq_ses_worker.ses.wire.route import Route


class SesSettings(KeySettings, EndpointSettings):
    """What an exchange with SES takes; of a worker's threads each has a connection."""

    proxy: Annotated[str, AfterValidator(values.proxy)] | None = setting(
        None, "HTTP proxy to SES: http:// or https://, a password allowed.", option="--proxy URL", shown=False
    )
    ca_bundle: Annotated[str, AfterValidator(values.ca_bundle)] | None = setting(
        None,
        "PEM file or directory of the CA certificates to trust in place of the usual ones.",
        option="--ca-bundle FILE",
    )
    timeout: Real = setting(
        5.0, "Seconds for one whole exchange with SES.", above=0, at_most=300, option="--timeout S"
    )
    min_upload_rate: Count = setting(
        MIN_UPLOAD_RATE,
        "Bytes a second: a mail of more than 64 KiB has so much more time as that takes "
        "([how long](settings.md#how-long-an-exchange-may-take)).",
        at_least=SLOWEST_UPLOAD,
        at_most=1_000_000_000,
    )
    concurrency: Count = setting(
        16,
        "Mails that a worker's process sends at the same time, each by a thread.",
        at_least=1,
        at_most=1000,
        option="--concurrency N",
    )

    def credentials(self) -> CredentialSource:
        """Return where the AWS identity that signs comes from; nothing is asked yet.

        It is the key of the settings, else what is found as AWS's SDKs find it, from the environment on.
        """
        from rq_ses_worker.identity.source import CredentialSource

        if self.aws_access_key_id is not None and self.aws_secret_access_key is not None:
            token = self.aws_session_token
            credentials = Credentials(
                self.aws_access_key_id,
                self.aws_secret_access_key.get_secret_value(),
                token.get_secret_value() if token else None,
            )
            place = self.origin("aws_access_key_id") or "settings"
            return CredentialSource.of(credentials, place, self.aws_credential_expiration)
        from rq_ses_worker.identity.chain import Chain
        from rq_ses_worker.identity.sts import sts_of

        environment = dict(os.environ)
        sts = partial(
            sts_of,
            self._ses(),
            configured_endpoint("sts", self.aws_profile, environment),
            self._route(),
            self.timeout,
        )
        return CredentialSource(Chain(environment, self.aws_profile, sts, self.ca_bundle).find)

    @property
    def url(self) -> str:
        """Where SendEmail is called."""
        return self._ses().url

    def client(self, credentials: CredentialSource | None = None) -> SesClient:
        """Return a client with a connection for each thread; nothing is connected yet."""
        from rq_ses_worker.ses.client import SesClient

        return SesClient(
            credentials or self.credentials(),
            self._ses(),
            self._route(),
            Timeout(self.timeout, self.min_upload_rate),
            # One more than threads that send: another asks for the account's limits.
            pool_size=self.concurrency + 1,
        )

    def _ses(self) -> Endpoint:
        from rq_ses_worker.ses.endpoint import Endpoint

        return Endpoint(self.aws_region, self.endpoint, self.allow_http, self.use_fips, self.use_dualstack)

    def _route(self) -> Route:
        from rq_ses_worker.ses.wire.route import Route

        return Route(self.proxy, self.ca_bundle)
