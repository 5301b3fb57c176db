"""Where credentials are looked for, in the order of AWS's SDKs; the first place that is set up counts.

    1. the settings: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the settings file
    2. the profile's role_arn with source_profile or credential_source
    3. a web identity: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or the profile's
    4. the profile's keys in the shared credentials file
    5. the profile's credential_process
    6. the profile's keys in the config file
    7. the container's credentials endpoint
    8. the EC2 instance's role

The profile is the one that is set (aws_profile), else "default". A place that is set up and fails ends the
search: what comes after it is another identity.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rq_ses.settings.awsfiles import DEFAULT, FilesUnreadable, Profiles, Section, SharedFiles
from rq_ses_worker.identity.container import ContainerEndpoint
from rq_ses_worker.identity.imds import InstanceMetadata
from rq_ses_worker.identity.keys import ProfileKeys
from rq_ses_worker.identity.process import CredentialProcess
from rq_ses_worker.identity.provider import Grant, NotConfigured, Provider, ProviderFailed
from rq_ses_worker.identity.sts import AssumedRole, Sts, WebIdentity
from rq_ses_worker.ses.credentials import CredentialsUnavailable

_PROFILE_SOURCES: Final = "role_arn, web identity, keys or credential_process"
_OPTIONS: Final = {
    "role_session_name": "RoleSessionName",
    "external_id": "ExternalId",
    "duration_seconds": "DurationSeconds",
}
_KEYS: Final = frozenset({"aws_access_key_id", "aws_secret_access_key"})
_SSO: Final = frozenset({"sso_account_id", "sso_role_name"})
_FILES: Final = "shared config and credentials files"
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class Chain:
    """The places to look at, built anew for each search, since files change.

    Args:
        environment: AWS's variables, other than the keys.
        profile: the one that was asked for, or None.
        sts: how STS is reached; asked for only where a role is assumed.
        ca_bundle: trusted for a container endpoint over https.
    """

    environment: Mapping[str, str]
    profile: str | None
    sts: Callable[[], Sts]
    ca_bundle: str | None = None

    def find(self) -> tuple[Provider, Grant]:
        """Return the first place that has credentials, and these. Raises CredentialsUnavailable."""
        tried: list[tuple[str, str]] = [("settings", "AWS_ACCESS_KEY_ID is not set")]
        where = _FILES
        try:
            for provider in self._providers():
                where = provider.name
                found = provider.load()
                if isinstance(found, Grant):
                    return provider, found
                tried.append((provider.name, found.reason))
                where = _FILES
        except ProviderFailed as exc:
            raise CredentialsUnavailable([(where, str(exc))], lasting=exc.lasting) from exc
        except FilesUnreadable as exc:
            raise CredentialsUnavailable([(_FILES, str(exc))], lasting=True) from exc
        raise CredentialsUnavailable(tried, lasting=True)

    def _providers(self) -> Iterator[Provider]:
        files = SharedFiles.named_by(self.environment)
        profiles = files.read()
        if self.profile and self.profile not in profiles:
            raise ProviderFailed(profiles.missing(self.profile), lasting=True)
        name = self.profile or DEFAULT
        yield from self._of_profile(files, profiles, name, self.environment)
        yield ContainerEndpoint(self.environment, ca_bundle=self.ca_bundle)
        yield InstanceMetadata(self.environment)

    def _of_profile(
        self,
        files: SharedFiles,
        profiles: Profiles,
        name: str,
        environment: Mapping[str, str],
        above: Sequence[str] = (),
    ) -> Iterator[Provider]:
        section = profiles.merged(name)
        # A profile may assume a role with keys of its own: seen from there, it is no more than these keys.
        own_keys = name in above
        if "role_arn" in section and "web_identity_token_file" not in section and not own_keys:
            yield self._role(files, profiles, name, (*above, name))
        yield from self._web_identity(name, section, environment)
        _refuse_sso(name, section)
        yield ProfileKeys(
            "shared credentials file", files.credentials, name,
            lambda: files.read().credentials.get(name, {}),
        )  # fmt: skip
        if "login_session" in section:
            raise ProviderFailed(f"profile {name} uses `aws login`, {_exported(name)}", lasting=True)
        if "credential_process" in section:
            yield CredentialProcess(name, section["credential_process"])
        yield ProfileKeys("config file", files.config, name, lambda: files.read().config.get(name, {}))

    def _web_identity(
        self, name: str, section: Section, environment: Mapping[str, str]
    ) -> Iterator[Provider]:
        def given(variable: str, key: str) -> str:
            return environment.get(variable) or section.get(key, "")

        token_file = given("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")
        if token_file:
            by_variable = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")
            yield WebIdentity(
                self.sts,
                "the environment" if by_variable else f"profile {name}",
                token_file,
                given("AWS_ROLE_ARN", "role_arn"),
                given("AWS_ROLE_SESSION_NAME", "role_session_name") or None,
            )

    def _role(self, files: SharedFiles, profiles: Profiles, name: str, above: Sequence[str]) -> Provider:
        section = profiles.merged(name)
        if "mfa_serial" in section:
            raise ProviderFailed(
                f"profile {name} asks for an MFA code (mfa_serial), which nobody can type here: "
                "use a role without it",
                lasting=True,
            )
        source, place = section.get("source_profile"), section.get("credential_source")
        if bool(source) == bool(place):
            raise ProviderFailed(
                f"profile {name} has role_arn and {'both' if source else 'neither'} source_profile "
                f"{'and' if source else 'nor'} credential_source: give it one of them",
                lasting=True,
            )
        provider = (
            self._source(files, profiles, name, str(source), above)
            if source
            else self._place(name, str(place))
        )
        options = {theirs: section[ours] for ours, theirs in _OPTIONS.items() if section.get(ours)}
        return AssumedRole(self.sts, name, section["role_arn"], provider, options)

    def _source(
        self, files: SharedFiles, profiles: Profiles, name: str, source: str, above: Sequence[str]
    ) -> Provider:
        if source not in profiles:
            raise ProviderFailed(f"source_profile of {name}: {profiles.missing(source)}", lasting=True)
        has_keys = not profiles.merged(source).keys().isdisjoint(_KEYS)
        if len(above) > _DEEPEST or (source in above and not (source == name and has_keys)):
            raise ProviderFailed(
                f"source_profile of {name} leads back to {source}: break the circle", lasting=True
            )
        # Its keys come before its role, as AWS has it for a source.
        seen_from_above = (*above, source) if has_keys else above
        return _First(
            f"profile {source}", lambda: self._of_profile(files, profiles, source, {}, seen_from_above)
        )

    def _place(self, name: str, place: str) -> Provider:
        if place == "Environment":
            # Keys there are found first, and then used as they are.
            raise ProviderFailed(
                f"credential_source of profile {name} is Environment, but AWS_ACCESS_KEY_ID is not set",
                lasting=True,
            )
        if place == "EcsContainer":
            return ContainerEndpoint(self.environment, ca_bundle=self.ca_bundle)
        if place == "Ec2InstanceMetadata":
            return InstanceMetadata(self.environment)
        raise ProviderFailed(
            f"credential_source {place!r} of profile {name} is unknown: "
            "use Environment, EcsContainer or Ec2InstanceMetadata",
            lasting=True,
        )


class _First:
    """The first of several places that has credentials; they are gone through anew at each load."""

    def __init__(self, name: str, providers: Callable[[], Iterator[Provider]]) -> None:
        self.name = name
        self._providers = providers

    def load(self) -> Grant | NotConfigured:
        for provider in self._providers():
            found = provider.load()
            if isinstance(found, Grant):
                return found
        return NotConfigured(f"it has no {_PROFILE_SOURCES}")


def _refuse_sso(name: str, section: Section) -> None:
    if not section.keys().isdisjoint(_SSO):
        raise ProviderFailed(f"profile {name} signs in by SSO, {_exported(name)}", lasting=True)


def _exported(name: str) -> str:
    return (
        "which a worker can't do: give another profile credential_process = "
        f"aws configure export-credentials --profile {name} --format process"
    )
