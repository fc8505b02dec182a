"""Time-stamps (RFC 3161): a service's signed word that it saw some bytes at a time."""

from typing import Any, NamedTuple

from harness.errors import UsageError
from harness.integrity.errors import OutsideUnavailable, ProofInvalid
from harness.integrity.outside import post, shown


class Stamped(NamedTuple):
    """A time-stamp: the answer of the service as it came, and the time in it (ISO 8601)."""

    token: bytes
    time: str


def stamp(data: bytes, url: str, roots: bytes | None) -> Stamped:
    """Return a time-stamp of `data` from the service at `url`.

    With `roots` (certificates, PEM) it is checked in full; else only that it is of these bytes and new.

    Raises:
        OutsideUnavailable: there is none.
        ProofInvalid: it is not of these bytes, or does not lead to `roots`.
    """
    tsp = _library()
    asked = (
        tsp.TimestampRequestBuilder().data(data).hash_algorithm(tsp.HashAlgorithm.SHA256).nonce(nonce=True)
    )
    request = asked.cert_request(cert_request=True).build()
    what = f"The time-stamping service at {shown(url)}"
    status, answer = post(what, url, request.as_bytes(), "application/timestamp-query")
    if status != 200:  # noqa: PLR2004 - OK
        raise OutsideUnavailable(what, f"it answered {status}")
    info = _granted(answer, what).tst_info
    if info.nonce != request.nonce or info.message_imprint.message != request.message_imprint.message:
        raise ProofInvalid("The time-stamp", "it is the answer to another request")
    if roots is not None:
        check_stamp(answer, data, roots)
    return Stamped(answer, info.gen_time.isoformat())


def check_stamp(token: bytes, data: bytes, roots: bytes) -> str:
    """Return the time at which a service that leads to `roots` (PEM) saw `data`.

    Raises:
        ProofInvalid: it did not, as far as this token says.
    """
    from cryptography.x509 import load_pem_x509_certificates

    tsp = _library()
    answer = _granted(token, "The time-stamp")
    try:
        verifier = tsp.VerifierBuilder()
        for certificate in load_pem_x509_certificates(roots):
            verifier = verifier.add_root_certificate(certificate)
        verifier.build().verify_message(answer, data)
    except (tsp.VerificationError, ValueError) as error:
        raise ProofInvalid("The time-stamp", str(error)) from error
    return str(answer.tst_info.gen_time.isoformat())


def _granted(token: bytes, what: str) -> Any:
    try:
        answer = _library().decode_timestamp_response(token)
        if answer.status in {0, 1}:
            _ = answer.tst_info  # a service can grant what it does not give
            return answer
    except ValueError as error:
        raise OutsideUnavailable(what, f"its answer is no time-stamp ({error})") from error
    said = "".join(f" ({text})" for text in answer.status_string)
    raise OutsideUnavailable(what, f"it refused with status {answer.status}{said}")


def _library() -> Any:
    try:
        import rfc3161_client
    except ModuleNotFoundError as error:
        raise UsageError(
            "Time-stamps need a package that is not installed.",
            "Expected rfc3161-client.",
            'Run: pip install "shadow-harness[timestamp]".',
        ) from error
    return rfc3161_client
