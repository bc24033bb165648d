"""The simulated NinjaOne instance: three grants, two kinds of tokens, three ways of rotating."""

import pytest

from tests.sandbox.ninja_caller import EVERYTHING, NinjaCaller


def test_client_credentials_have_no_user_and_no_refresh_token(ninja: NinjaCaller) -> None:
    """The answer has the four documented fields; without a scope the app's own count."""
    answer = ninja.token("services", grant_type="client_credentials").json()
    assert set(answer) == {"access_token", "expires_in", "scope", "token_type"}
    assert (answer["scope"], answer["expires_in"]) == ("monitoring management control", 3600)


@pytest.mark.parametrize(
    ("app", "form", "status", "said"),
    [
        ("services", {"client_id": "nobody"}, 404, "Client app not exist"),
        ("services", {"client_secret": "wrong"}, 401, "invalid_client"),
        ("services", {"scope": "everything"}, 400, "invalid_scope"),
        ("services", {"scope": "offline_access"}, 400, "invalid_scope"),
        ("services", {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ("demo", {}, 400, "unauthorized_client"),
    ],
)
def test_token_requests_are_refused_for_a_reason(
    ninja: NinjaCaller, app: str, form: dict[str, str], status: int, said: str
) -> None:
    """Unknown apps, wrong secrets, foreign scopes and grants that the app does not have."""
    answer = ninja.token(app, **{"grant_type": "client_credentials", **form})
    assert (answer.status, said in answer.text) == (status, True)


def test_a_sign_in_gives_a_code_once(ninja: NinjaCaller) -> None:
    """The browser is sent to the loopback address at once; the code works once and gives both tokens."""
    returned = ninja.returned()
    assert returned["state"] == "s-1"
    answer = ninja.redeem(returned["code"]).json()
    assert answer["scope"] == EVERYTHING
    assert ninja.call("GET", "/v2/devices", bearer=answer["access_token"]).status == 200
    assert ninja.refresh(answer["refresh_token"]).status == 200
    assert ninja.redeem(returned["code"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "form", [{"code_verifier": "x" * 43}, {"code_verifier": ""}, {"redirect_uri": "http://127.0.0.1:1/"}]
)
def test_a_code_is_bound_to_verifier_and_address(ninja: NinjaCaller, form: dict[str, str]) -> None:
    """With another verifier or redirect address the code is refused."""
    assert ninja.redeem(ninja.returned()["code"], **form).json()["error"] == "invalid_grant"


def test_without_offline_access_there_is_no_refresh_token(ninja: NinjaCaller) -> None:
    """The scope decides."""
    assert "refresh_token" not in ninja.redeem(ninja.returned(scope="monitoring")["code"]).json()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"client_id": "patchbay-native", "code_challenge": ""}, "invalid_request"),
        ({"client_id": "patchbay-services"}, "unsupported_response_type"),
    ],
)
def test_what_cannot_be_granted_is_told_to_the_redirect_address(
    ninja: NinjaCaller, query: dict[str, str], error: str
) -> None:
    """Errors come back with the state, as a code would."""
    assert ninja.returned(**query) == {"error": error, "state": "s-1"}


def test_a_person_may_say_no_or_not_be_there(ninja: NinjaCaller) -> None:
    """Without consent the error comes back; without a signed-in user a form is shown."""
    ninja.control.patch_state(settings={"consent": False})
    assert ninja.returned() == {"error": "access_denied", "state": "s-1"}
    ninja.control.patch_state(settings={"signed_in": ""})
    assert ninja.authorize().status == 200


def test_foreign_redirect_addresses_get_nothing(ninja: NinjaCaller) -> None:
    """No redirect to an address that the app does not name; of loopback ones the port does not count."""
    assert ninja.authorize(redirect_uri="https://elsewhere.example.com/").status == 400
    assert ninja.authorize(client_id="nobody").status == 404
    assert "code" in ninja.returned(redirect_uri="http://localhost:1234/")


def test_a_native_app_needs_no_secret(ninja: NinjaCaller) -> None:
    """PKCE stands for it."""
    client = {"client_id": "patchbay-native"}
    assert ninja.redeem(ninja.returned(**client)["code"], **client, client_secret="").status == 200


def test_without_rotation_the_refresh_token_stays(ninja: NinjaCaller) -> None:
    """The answer names none."""
    ninja.control.patch_state(settings={"rotation": "off"})
    first = ninja.apps["demo"]["refresh_token"]
    assert "refresh_token" not in ninja.refresh(first).json()
    assert ninja.refresh(first).status == 200


def test_with_overlap_the_old_token_lives_until_the_new_one_is_used(ninja: NinjaCaller) -> None:
    """A lost answer can be asked for again; the first use of a new token ends the old one."""
    old = ninja.apps["demo"]["refresh_token"]
    assert ninja.refresh(old).status == 200
    new = ninja.refresh(old).json()["refresh_token"]
    assert ninja.refresh(new).status == 200
    assert ninja.refresh(old).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_token", "expired_token"])
def test_with_strict_rotation_a_refresh_token_works_once(ninja: NinjaCaller, error: str) -> None:
    """The used one is dead, told by the word that is asked for."""
    ninja.control.patch_state(settings={"rotation": "strict", "dead_grant": error})
    old = ninja.apps["demo"]["refresh_token"]
    new = ninja.refresh(old).json()["refresh_token"]
    assert (ninja.refresh(old).status, ninja.refresh(old).json()["error"]) == (400, error)
    assert ninja.refresh(new).status == 200


def test_refresh_tokens_belong_to_one_app(ninja: NinjaCaller) -> None:
    """Another app cannot use them."""
    token = ninja.apps["demo"]["refresh_token"]
    answer = ninja.token("native", grant_type="refresh_token", refresh_token=token)
    assert answer.json()["error"] == "invalid_grant"


def test_tokens_end(ninja: NinjaCaller) -> None:
    """By time, by the control plane, or with the user."""
    ninja.control.patch_state(settings={"expires_in": 0})
    short = ninja.refresh(ninja.apps["demo"]["refresh_token"]).json()["access_token"]
    assert ninja.call("GET", "/v2/devices", bearer=short).json()["error_code"] == 10
    ninja.control.patch_state(expire_access_tokens=True)
    assert ninja.call("GET", "/v2/devices").status == 401
    ninja.control.patch_state(users={"admin": {"active": False}})
    assert ninja.refresh(ninja.apps["demo"]["refresh_token"]).status == 400


def test_revoked_grants_and_a_reset(ninja: NinjaCaller) -> None:
    """Revoked refresh tokens are dead; after a reset the first ones are valid again."""
    ninja.control.patch_state(revoke_refresh_tokens=True)
    first = ninja.apps["demo"]["refresh_token"]
    assert ninja.refresh(first).status == 400
    ninja.control.reset()
    assert ninja.refresh(first).status == 200


def test_the_other_path_is_an_alias_that_can_be_switched_off(ninja: NinjaCaller) -> None:
    """`/oauth/token` works as `/ws/oauth/token` does, unless the instance has none."""
    form = {"grant_type": "client_credentials"}
    assert ninja.token("services", "/oauth/token", **form).status == 200
    ninja.control.patch_state(settings={"oauth_alias": False})
    assert ninja.token("services", "/oauth/token", **form).status == 404


def test_no_listing_shows_a_credential(ninja: NinjaCaller) -> None:
    """Neither state nor requests hold a secret or a token."""
    shown = str(ninja.control.state()) + str(ninja.control.requests())
    secrets = [value for app in ninja.apps.values() for value in (app["client_secret"], app["refresh_token"]) if value]
    assert not [secret for secret in [*secrets, ninja.bearer] if secret in shown]
