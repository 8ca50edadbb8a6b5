"""What a CA's refusal means, in sentences: PKIFailureInfo of RFC 9810 section 5.2.3 for people."""

from __future__ import annotations

from collections.abc import Iterable

from safetok.locale import _

# The CA may answer otherwise a little later, without a new request; every other refusal is final.
TEMPORARY = frozenset({"systemUnavail", "systemFailure", "badTime"})


def is_temporary(fail_info: Iterable[str]) -> bool:
    """Whether nothing but temporary failures is named (and something is)."""
    names = frozenset(fail_info)
    return bool(names) and names <= TEMPORARY


def sentence(name: str) -> str:
    """What one failure means, as a sentence; the name itself for one that nobody has put into words."""
    return _SENTENCES[name]() if name in _SENTENCES else name


def explain(fail_info: Iterable[str], text: str = "") -> str:
    """A refusal in words: the sentence of each failure named, then the CA's own text, as it came."""
    words = [sentence(name) for name in fail_info]
    if text:
        words.append(_("The CA says: {text}").format(text=text))
    return " ".join(words) or _("The CA gives no reason.")


_SENTENCES = {
    "badAlg": lambda: _("The CA does not accept this signature algorithm."),
    "badMessageCheck": lambda: _("The CA could not verify the signature on the request."),
    "badRequest": lambda: _("The CA does not allow this kind of request."),
    "badTime": lambda: _("The CA finds the clock of this computer too far from its own. Set the clock and try again."),
    "badCertId": lambda: _("The CA knows no certificate with the old certificate's serial."),
    "badDataFormat": lambda: _("The CA could not read the request."),
    "wrongAuthority": lambda: _("The request reached a CA that did not issue the old certificate."),
    "incorrectData": lambda: _("The CA finds something wrong in the request."),
    "missingTimeStamp": lambda: _("The CA misses a time stamp in the request."),
    "badPOP": lambda: _("The CA could not verify that the token holds the key."),
    "certRevoked": lambda: _("The certificate is revoked."),
    "certConfirmed": lambda: _("The certificate has been confirmed before."),
    "wrongIntegrity": lambda: _("The CA expects another way of protecting the request."),
    "badRecipientNonce": lambda: _("The CA does not recognise this message as part of the exchange."),
    "timeNotAvailable": lambda: _("The CA's time source is not available."),
    "unacceptedPolicy": lambda: _("The CA does not issue under the policy that was asked for."),
    "unacceptedExtension": lambda: _("The CA does not accept an extension that was asked for."),
    "addInfoNotAvailable": lambda: _("The CA cannot give the additional information."),
    "badSenderNonce": lambda: _("The CA misses a usable nonce in the request."),
    "badCertTemplate": lambda: _("The CA does not issue a certificate with these contents."),
    "signerNotTrusted": lambda: _("The CA does not trust the certificate that signed the request."),
    "transactionIdInUse": lambda: _("The CA knows this transaction number already."),
    "unsupportedVersion": lambda: _("The CA does not support this version of the protocol."),
    "notAuthorized": lambda: _("The CA does not allow this certificate to be renewed this way."),
    "systemUnavail": lambda: _("The CA's system is not available now."),
    "systemFailure": lambda: _("The CA's system has failed."),
    "duplicateCertReq": lambda: _("The CA has a request or a certificate for this already."),
}
