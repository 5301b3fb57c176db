"""Which URL is called, and which settings are refused before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from rq_ses_worker.ses.endpoint import SEND_PATH, Endpoint


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "email.us-east-1.amazonaws.com"),
        ("ap-southeast-7", "email.ap-southeast-7.amazonaws.com"),
        ("us-gov-west-1", "email.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1", "email.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_each_partition_has_its_own_ending(region: str, host: str) -> None:
    assert Endpoint(region).url == f"https://{host}/v2/email/outbound-emails"


def test_fips_and_dual_stack_hosts_are_chosen_by_name() -> None:
    assert Endpoint("us-east-1", use_fips=True).url == (
        "https://email-fips.us-east-1.amazonaws.com/v2/email/outbound-emails"
    )
    assert Endpoint("eu-west-1", use_dualstack=True).url == (
        "https://email.eu-west-1.api.aws/v2/email/outbound-emails"
    )
    assert Endpoint("us-gov-west-1", use_fips=True, use_dualstack=True).url == (
        "https://email-fips.us-gov-west-1.api.aws/v2/email/outbound-emails"
    )


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("eu-west-4", "eu-west-3, eu-west-2, eu-west-1"),
        ("us-easst-1", "us-east-1"),
        ("ue-west-1", "us-west-1, eu-west-1"),
        ("ap-east-1", "ap-east-2"),
        ("xx-nowhere-9", "us-east-1"),
    ],
)
def test_where_ses_is_not_listed_the_nearest_regions_are_named(region: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"SES is not listed in region '{region}': .*\({nearest}") as caught:
        Endpoint(region)
    assert f"set base_url (RQ_SES_BASE_URL) https://email.{region}.amazonaws.com" in str(caught.value)


@pytest.mark.parametrize("region", ["ap-east-1", "cn-northwest-1", "xx-new-1", "us-iso-east-1"])
def test_a_region_that_is_not_listed_is_signed_when_its_address_is_given(region: str) -> None:
    assert Endpoint(region, "https://ses.example").url == f"https://ses.example{SEND_PATH}"


def test_where_ses_has_no_fips_endpoint_the_ones_there_are_are_named() -> None:
    with pytest.raises(ValueError, match=r"no FIPS endpoint .* 'eu-west-1': .*us-west-1.*remove use_fips"):
        Endpoint("eu-west-1", use_fips=True)


@pytest.mark.parametrize("switch", ["use_fips", "use_dualstack"])
def test_an_address_and_a_kind_of_address_exclude_each_other(switch: str) -> None:
    with pytest.raises(ValueError, match=rf"base_url 'https://ses.example' and {switch} exclude"):
        Endpoint("us-east-1", "https://ses.example", **{switch: True})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "region",
    ["", "useast1", "us-east", "US-EAST-1", "us-east-1\n", "evil.com/us-east-1", "us-east-1.evil", "é-a-1"],
)
@pytest.mark.parametrize("base_url", [None, "https://ses.example"])
def test_what_does_not_look_like_a_region_is_refused(region: str, base_url: str | None) -> None:
    with pytest.raises(ValueError, match=r"region .* use one like .*\bus-east-1"):
        Endpoint(region, base_url)


@pytest.mark.parametrize("region", ["EU-WEST-1", "eu-west1", "eu_west_1", "euwest-1", " eu-west-1"])
def test_a_misspelt_region_is_told_the_likest(region: str) -> None:
    with pytest.raises(ValueError, match=r"use one like .*\beu-west-1"):
        Endpoint(region)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://ses.example", "https://ses.example"),
        ("https://ses.example/", "https://ses.example"),
        ("HTTPS://Ses.Example:443/", "https://ses.example"),
        ("https://ses.example:8443/a/b/", "https://ses.example:8443/a/b"),
        ("http://localhost:4566/x", "http://localhost:4566/x"),
        ("http://ses.localhost", "http://ses.localhost"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.8.9.1:9000", "http://127.8.9.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://127.0.0.1:9000/a b/é", "http://127.0.0.1:9000/a%20b/%C3%A9"),
        ("https://ses.example/a/./b/../c%2f", "https://ses.example/a/c%2F"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_base_url_keeps_its_port_and_prefix_in_normal_form(base_url: str, url: str) -> None:
    assert Endpoint("us-east-1", base_url).url == url + SEND_PATH


@pytest.mark.parametrize(
    "base_url",
    [
        "http://ses.example",
        "http://10.0.0.1:8080",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://0.0.0.0",
    ],
)
def test_plain_http_is_for_this_machine_unless_it_is_allowed(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"base_url .* is not encrypted .* allow_http"):
        Endpoint("us-east-1", base_url)
    assert Endpoint("us-east-1", base_url, allow_http=True).url == base_url + SEND_PATH


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "ses.example",
        "ses.example:443",
        "ftp://ses.example",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://ses.example:0",
        "https://ses.example:99999",
        "https://ses.example?a=1",
        "https://ses.example/#x",
        "https://ses.example/?",
        " https://ses.example",
        "https://ses.example\n",
        "https://ses.example\\@evil.example",
        "https://a b.example",
    ],
)
def test_an_unusable_base_url_is_refused_by_name(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Endpoint("us-east-1", base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://user:hunter2@ses.example",
        "https://hunter2@ses.example",
        "https://user:hun@hunter2@ses.example",
        "https://user:hunter2/x@ses.example",
        "user:hunter2@ses.example",
        "https://user:hunter2@ses.example:99999",
        "https://user:hunter2@",
    ],
)
def test_a_password_in_the_base_url_is_refused_and_not_repeated(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        Endpoint("us-east-1", base_url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(path=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="?#\\"), max_size=20))
def test_whatever_the_prefix_urllib3_sends_it_as_it_stands(path: str) -> None:
    try:
        url = Endpoint("us-east-1", f"https://ses.example/{path}").url
    except ValueError:
        assert path != path.strip() or "\x85" in path or not path.isprintable()
        return
    assert parse_url(url).url == url
    assert url.isascii()
    assert url.startswith("https://ses.example/")
    assert url.endswith(SEND_PATH)


@pytest.mark.parametrize(
    "host",
    [
        "abc123.xyz.endpoints.email.amazonaws.com",
        "ABC123.xyz.Endpoints.Email.AmazonAWS.com",
        "abc123.xyz.endpoints.email.amazonaws.com.",
        "abc123.xyz.endpoints.email.amazonaws.com:443",
        "abc123.xyz.endpoints.email.global.api.aws",
        "abc123.xyz.endpoints.email.us-gov.amazonaws.com",
        "abc123.xyz.endpoints.email.amazonaws.com.cn",
        "abc123.xyz.endpoints.email.global.api.amazonwebservices.com.cn",
        "abc123.xyz.endpoints.email.amazonaws.eu",
        "abc123.xyz.endpoints.email.c2s.ic.gov",
        "endpoints.email.amazonaws.com",
    ],
)
@pytest.mark.parametrize("path", ["", "/", "/prefix"])
def test_a_multi_region_endpoint_is_refused_with_the_reason(host: str, path: str) -> None:
    with pytest.raises(ValueError, match=r"base_url .* multi-region .* SigV4A") as caught:
        Endpoint("eu-west-1", f"https://{host}{path}")
    assert str(caught.value).endswith("use the region's own address, https://email.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    "host",
    [
        "email.eu-west-1.amazonaws.com",
        "email.eu-west-1.api.aws",
        "vpce-1-2.email.eu-west-1.vpce.amazonaws.com",
        "endpoints.email.shop.example",
        "abc.endpoints.email.amazonaws.com.shop.example",
        "myendpoints.email.amazonaws.com",
    ],
)
def test_other_endpoints_are_no_multi_region_ones(host: str) -> None:
    assert Endpoint("eu-west-1", f"https://{host}").url == f"https://{host}{SEND_PATH}"


@pytest.mark.parametrize(
    "url", ["https://h/?token=s3cret", "https://h/p#s3cret", "https://u:s3cret@h/?x=s3cret"]
)
def test_a_token_in_a_query_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        Endpoint("us-east-1", url)
    assert "s3cret" not in str(caught.value)
