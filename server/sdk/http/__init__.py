"""The only way out: one HTTP client that guards addresses, time, size, secrets and the knowledge of what was sent."""

from server.sdk.http.client import HttpClient
from server.sdk.http.grant import EgressGrant
from server.sdk.http.pool import HttpPool
from server.sdk.http.response import HttpResponse
from server.sdk.http.translate import AnswerLost
from server.sdk.http.words import spoken

__all__ = ["AnswerLost", "EgressGrant", "HttpClient", "HttpPool", "HttpResponse", "spoken"]
