"""What is done about a refusal, request by request: nothing is sent here, so each answer can be told."""

import asyncio

import pytest

from doorward.errors import ConfigurationError, SignInCancelled
from doorward.integrations.sending.origins import origin_of
from doorward.integrations.sending.refusals import Answer, StepUp, read_step_up
from doorward.integrations.sending.sender import Sender
from doorward.model import Secret

ORIGIN = origin_of("https", "api.example", None)
URL = "https://api.example/things"
STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="60"'
NONCE = 'DPoP error="use_dpop_nonce", algs="ES256"'
REFUSED = 'Bearer error="invalid_token"'


class Plain:
    """Gives "t1", and "t2" when that is refused."""

    def __init__(self):
        self.asked = []

    def token(self, kind="access"):
        self.asked.append("token")
        return "t1"

    def renew(self, rejected):
        self.asked.append(f"renew {rejected}")
        return "t2"

    async def atoken(self, kind="access"):
        return self.token(kind)

    async def arenew(self, rejected):
        return self.renew(rejected)


class Person(Plain):
    """Signs in anew, too, and then has "strong"."""

    def __init__(self, gives="strong"):
        super().__init__()
        self.gives = gives

    def step_up(self, acr_values, max_age):
        self.asked.append(f"step_up {acr_values} {max_age}")
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    async def astep_up(self, acr_values, max_age):
        return self.step_up(acr_values, max_age)


class Bound(Person):
    """Proves that it has the key of its tokens: the proof tells here what it is of."""

    def authorization(self, token, method, url, *, nonce=None):
        return {"Authorization": f"DPoP {token}", "DPoP": f"{method} {url} {nonce}"}


def refusal(*challenges, nonce=None, repeatable=True):
    return Answer(refused=True, repeatable=repeatable, challenges=challenges, nonce=nonce)


@pytest.fixture(params=["blocking", "asyncio"])
def carry(request):
    """Send one request through a sender: ``carry(source, [answers])`` returns what each time was sent with."""

    async def awaited(attempt, answer):
        return await attempt.aheaders(answer)

    def carry(source, answers, *, sender=None, sent=None):
        sender = sender or Sender(source, ["https://api.example"], insecure_loopback_http=False)
        attempt = sender.attempt(ORIGIN, "POST", URL, sent=sent)
        ask = attempt.headers if request.param == "blocking" else lambda answer: asyncio.run(awaited(attempt, answer))
        seen = [ask(None)]
        for answer in answers:
            assert seen[-1] is not None, "the answer before stood"
            seen.append(ask(answer))
        return [None if each is None else each.get("DPoP", each.get("Authorization")) for each in seen]

    return carry


FINE = Answer(refused=False, repeatable=True)

WALKS = {
    "an answer": (Plain, [FINE], ["Bearer t1", None]),
    "a refusal": (Plain, [refusal(REFUSED), FINE], ["Bearer t1", "Bearer t2", None]),
    "a refusal without a reason": (Plain, [refusal(), FINE], ["Bearer t1", "Bearer t2", None]),
    "one that cannot be read": (Plain, [refusal('Bearer error="x'), FINE], ["Bearer t1", "Bearer t2", None]),
    "two refusals": (Plain, [refusal(), refusal()], ["Bearer t1", "Bearer t2", None]),
    "a body that is gone": (Plain, [refusal(repeatable=False)], ["Bearer t1", None]),
    "a person is wanted and there is none": (Plain, [refusal(STEP_UP)], ["Bearer t1", None]),
    "a person signs in": (Person, [refusal(STEP_UP), FINE], ["Bearer t1", "Bearer strong", None]),
    "a person signs in once": (Person, [refusal(STEP_UP), refusal(STEP_UP)], ["Bearer t1", "Bearer strong", None]),
    "renewed, then a person signs in": (
        Person,
        [refusal(REFUSED), refusal(STEP_UP), FINE],
        ["Bearer t1", "Bearer t2", "Bearer strong", None],
    ),
    "a person is wanted and the body is gone": (Person, [refusal(STEP_UP, repeatable=False)], ["Bearer t1", None]),
    "a nonce for one who proves nothing": (Plain, [refusal(NONCE, nonce="n1")], ["Bearer t1", None]),
    "a nonce": (Bound, [refusal(NONCE, nonce="n1"), FINE], [f"POST {URL} None", f"POST {URL} n1", None]),
    "a nonce that is not there": (Bound, [refusal(NONCE)], [f"POST {URL} None", None]),
    "a nonce each time": (
        Bound,
        [refusal(NONCE, nonce="n1"), refusal(NONCE, nonce="n2")],
        [f"POST {URL} None", f"POST {URL} n1", None],
    ),
    "all there is, each once": (
        Bound,
        [refusal(NONCE, nonce="n1"), refusal(STEP_UP), refusal(REFUSED, nonce="n2"), refusal(REFUSED)],
        [f"POST {URL} None", f"POST {URL} n1", f"POST {URL} n1", f"POST {URL} n2", None],
    ),
}


@pytest.mark.parametrize("name", WALKS)
def test_what_is_sent(carry, name):
    source, answers, sent = WALKS[name]
    assert carry(source(), answers) == sent


def test_what_is_asked_of_the_source(carry):
    source = Person()
    carry(source, [refusal(REFUSED), refusal(STEP_UP), FINE])
    assert source.asked == ["token", "renew t1", "step_up gold silver 60"]


@pytest.mark.parametrize("gives", [None, "t1"])
def test_a_person_who_is_not_there(carry, gives):
    assert carry(Person(gives), [refusal(STEP_UP)]) == ["Bearer t1", None]


def test_a_person_who_says_no(carry):
    no = SignInCancelled("No.")
    with pytest.raises(SignInCancelled) as caught:
        carry(Person(no), [refusal(STEP_UP)])
    assert caught.value is no


def test_a_nonce_is_kept_for_the_next_request(carry):
    source = Bound()
    sender = Sender(source, ["https://api.example"], insecure_loopback_http=False)
    carry(source, [Answer(refused=False, repeatable=True, nonce="n7")], sender=sender)
    assert carry(source, [FINE], sender=sender) == [f"POST {URL} n7", None]


def test_a_request_that_is_on_its_way_with_a_token(carry):
    source = Plain()
    assert carry(source, [refusal()], sent=Secret("t0")) == [None, "Bearer t2"]
    assert source.asked == ["renew t0"]


@pytest.mark.parametrize(
    ("challenge", "asked"),
    [
        (STEP_UP, StepUp("gold silver", 60)),
        ('DPoP error=insufficient_user_authentication, acr_values="a"', StepUp("a", None)),
        ("Bearer error=insufficient_user_authentication, max_age=0", StepUp(None, 0)),
        ("Bearer error=insufficient_user_authentication", StepUp(None, None)),
        ('Bearer error=insufficient_user_authentication, max_age="-1"', StepUp(None, None)),
        ('Bearer error=insufficient_user_authentication, max_age="1e9"', StepUp(None, None)),
        (f"Bearer error=insufficient_user_authentication, max_age={'9' * 5000}", StepUp(None, None)),
        ('Basic error="insufficient_user_authentication"', None),
        (REFUSED, None),
        ("Bearer", None),
        ('Bearer error="', None),
    ],
)
def test_what_an_api_asks_for(challenge, asked):
    assert read_step_up(challenge) == asked


def test_what_is_no_source():
    with pytest.raises(ConfigurationError) as caught:
        Sender("a token", ["https://api.example"], insecure_loopback_http=False)
    assert (caught.value.field, caught.value.reason) == ("source", "not_a_token_source")
