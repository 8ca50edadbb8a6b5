"""The names and numbers of CMP (RFC 9810) and of the certificate requests inside it (RFC 4211), for both sides of the wire."""

from __future__ import annotations

MAX_MESSAGE = 1 << 20  # bytes; a kup with a long chain is some 10 KB

IMPLICIT_CONFIRM = "1.3.6.1.5.5.7.4.13"
CONFIRM_WAIT_TIME = "1.3.6.1.5.5.7.4.14"
CA_CERTS = "1.3.6.1.5.5.7.4.17"
CERT_PROFILE = "1.3.6.1.5.5.7.4.21"
OLD_CERT_ID = "1.3.6.1.5.5.7.5.1.5"

PVNO_2 = 2
PVNO_3 = 3  # as soon as a message carries what RFC 9480 added (hashAlg)

STATUS = (
    "accepted",
    "grantedWithMods",
    "rejection",
    "waiting",
    "revocationWarning",
    "revocationNotification",
    "keyUpdateWarning",
)

# PKIFailureInfo, RFC 9810 section 5.2.3; the place in the tuple is the number of the bit.
FAIL_INFO = (
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
)

# PKIBody, RFC 9810 section 5.1.2; the place in the tuple is the number of the explicit tag.
BODIES = (
    "ir",
    "ip",
    "cr",
    "cp",
    "p10cr",
    "popdecc",
    "popdecr",
    "kur",
    "kup",
    "krr",
    "krp",
    "rr",
    "rp",
    "ccr",
    "ccp",
    "ckuann",
    "cann",
    "rann",
    "crlann",
    "pkiconf",
    "nested",
    "genm",
    "genp",
    "error",
    "certConf",
    "pollReq",
    "pollRep",
)
