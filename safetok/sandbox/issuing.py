"""The sandbox CA's half of a renewal: it proves who asks, issues once, and takes back what is not confirmed.

Its answers are repeated byte for byte. RFC 9810 and its profile RFC 9483.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from safetok.ca.cmp.elements import INTEGER, OCTETS, SEQUENCE, Fields, elements, integer
from safetok.ca.cmp.messages import Message, general_info
from safetok.ca.cmp.names import CA_CERTS, PVNO_2, PVNO_3
from safetok.ca.cmp.protection import certificate_hash, hash_for_confirmation, verify_message
from safetok.domain.certificates import load
from safetok.domain.times import end_of_day
from safetok.sandbox import messages, profile
from safetok.sandbox.books import Books, Entry, Transaction
from safetok.sandbox.faults import Faults
from safetok.sandbox.messages import MALFORMED, OPENINGS, Refusal, Sent, digest
from safetok.sandbox.pki import LCS, SAFE_NEW, Issuer, Pki
from safetok.sandbox.requests import Wish, read_wish, same_name

FRESH = timedelta(minutes=5)  # how far an opening message's time may be from the CA's
NONCE_BYTES = 16
VERSIONS = (PVNO_2, PVNO_3)
WAIT_TEXT = "Yêu cầu đang được xét duyệt."


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a CA decides for itself."""

    confirm_wait: timedelta = timedelta(days=1)  # then the update is undone
    answer_after: timedelta = timedelta()  # more than nothing: requests wait, and clients poll


@dataclass(frozen=True, slots=True)
class CmpService:
    """Answers CMP messages. Always a protected answer, whatever came."""

    pki: Pki
    books: Books
    policy: Policy
    faults: Faults | None = None

    def answer(self, raw: bytes, now: datetime) -> tuple[bool, bytes]:
        """Whether the bytes were a message at all, and the DER of the answer."""
        try:
            received = messages.read(raw)
        except Refusal as refusal:
            return False, self._write(messages.error(refusal.fail, refusal.text), None, None, now).der
        entry: Entry | None = None
        try:
            with self.books.lock:
                self.books.settle(now)
                if (repeated := self._repeated(received)) is not None:
                    return True, repeated
            entry = self._authenticate(received)
            with self.books.lock:
                if (repeated := self._repeated(received)) is not None:  # it came twice at once
                    return True, repeated
                entry = self.books.entries[entry.serial]  # as it stands by now
                return True, self._dispatch(received, entry, now)
        except Refusal as refusal:
            return True, self._write(messages.error(refusal.fail, refusal.text), entry, received, now).der
        except MALFORMED:
            text = "Không đọc được nội dung thông điệp CMP."
            return True, self._write(messages.error("badDataFormat", text), entry, received, now).der

    def _repeated(self, received: Message) -> bytes | None:
        """What was answered to this very opening message before."""
        known = self.books.transactions.get(received.header.transaction_id.hex())
        return known.answer if known is not None and known.opening == digest(received) else None

    def _dispatch(self, received: Message, entry: Entry, now: datetime) -> bytes:
        known = self.books.transactions.get(received.header.transaction_id.hex())
        if received.kind in OPENINGS:
            if known is not None:
                raise Refusal("transactionIdInUse", "transactionID này đã dùng cho một yêu cầu khác.")
            return self._open(received, entry, now)
        if received.kind == "genm":
            return self._inform(received, entry, now)
        if received.kind not in {"certConf", "pollReq", "error"}:
            raise Refusal("badRequest", "CA không hỗ trợ loại thông điệp này.")
        if known is None or known.old_serial != entry.serial:
            raise Refusal("badRequest", "Không có giao dịch nào mang transactionID này.")
        if received.kind == "certConf":
            return self._confirm(received, entry, known, now)
        if received.kind == "pollReq":
            return self._poll(received, entry, known, now)
        if known.state == "issued":
            self.books.undo(known, now)
        return self._write(messages.confirmed(), entry, received, now).der

    def _authenticate(self, received: Message) -> Entry:
        """The subscriber whose certificate leads extraCerts and whose key protects the message (RFC 9483 section 3.3)."""
        if not received.extra:
            raise Refusal("badMessageCheck", "Thông điệp thiếu chứng thư số của người ký.")
        try:
            signer = load(received.extra[0])
        except ValueError as error:
            raise Refusal("badMessageCheck", "Không đọc được chứng thư số của người ký.") from error
        entry = self.books.entries.get(profile.serial_text(signer))
        if entry is None or entry.der != received.extra[0]:
            raise Refusal("signerNotTrusted", "Chứng thư số của người ký không do CA này cấp.")
        if received.header.pvno not in VERSIONS:
            raise Refusal("unsupportedVersion", "CA chỉ hỗ trợ CMP phiên bản 2 và 3.")
        if not same_name(received.header.sender, signer.subject):
            raise Refusal("badMessageCheck", "sender không phải tên của người ký.")
        identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        if received.header.sender_kid and received.header.sender_kid != identifier:
            raise Refusal("badMessageCheck", "senderKID không phải khóa của người ký.")
        if not verify_message(received.raw, signer.public_key()):
            raise Refusal("badMessageCheck", "Chữ ký bảo vệ thông điệp không đúng.")
        return entry

    def _open(self, received: Message, entry: Entry, now: datetime) -> bytes:
        if received.header.message_time is None:
            raise Refusal("missingTimeStamp", "Yêu cầu thiếu messageTime.")
        if abs(received.header.message_time - now) > FRESH:
            raise Refusal("badTime", "Giờ của yêu cầu lệch quá 5 phút so với giờ của CA.")
        if len(received.header.sender_nonce) < NONCE_BYTES:
            raise Refusal("badSenderNonce", "senderNonce phải dài ít nhất 16 byte.")
        if len(received.header.transaction_id) < NONCE_BYTES:
            raise Refusal("badRequest", "transactionID phải dài ít nhất 16 byte.")
        self._entitled(entry)
        wish = read_wish(received, load(entry.der))
        if self.policy.answer_after:
            return self._hold(received, entry, wish, now)
        sent, new, confirm_by, implicit = self._issue(received, received, entry, wish, now)
        transaction = Transaction(
            id=received.header.transaction_id.hex(),
            opening=digest(received),
            old_serial=entry.serial,
            state="confirmed" if implicit else "issued",
            answer=sent.der,
            nonces=(sent.nonce,),
            new_serial=new.serial,
            confirm_by=confirm_by,
        )
        self.books.keep(entries=(new,), transactions=(transaction,))
        return sent.der

    def _entitled(self, entry: Entry) -> None:
        """Only an owed certificate in good standing, expired or not, that nobody is renewing already."""
        if entry.standing != "good":
            raise Refusal("certRevoked", "Chứng thư số đang tạm dừng hoặc đã bị thu hồi.")
        if entry.problem:
            raise Refusal("notAuthorized", "Chưa đủ điều kiện cấp bù thời hạn: hợp đồng hoặc hồ sơ.")
        if not entry.offer:
            raise Refusal("notAuthorized", "Chứng thư số không thuộc diện cấp bù thời hạn.")
        if not self.books.offer_stands(entry):
            raise Refusal("notAuthorized", "Chứng thư số đã được cấp bù, hoặc đang chờ xác nhận ở giao dịch khác.")

    def _issue(
        self, opening: Message, received: Message, entry: Entry, wish: Wish, now: datetime
    ) -> tuple[Sent, Entry, datetime, bool]:
        """A new certificate for the key, and the answer to `received` that carries it (`opening` asked for it)."""
        issuer, old = self._renewer(entry), load(entry.der)
        allowed = issuer.certificate.not_valid_after_utc
        if entry.contract_end is not None:
            allowed = min(allowed, end_of_day(entry.contract_end))
        not_after = min(wish.not_after, allowed) if wish.not_after else allowed
        if not_after <= now:
            raise Refusal("badCertTemplate", "Thời hạn xin cấp đã qua.")
        certificate = profile.issue(
            issuer,
            self.pki.base,
            name=old.subject,
            key=wish.key,
            extensions=profile.kept_extensions(old),
            not_before=now,
            not_after=not_after,
        )
        new = replace(
            entry,
            serial=profile.serial_text(certificate),
            issuer=issuer.name,
            der=self._given(opening, certificate, issuer, old),
            not_after=not_after,
            offer=False,
        )
        implicit, confirm_by = opening.header.implicit_confirm, now + self.policy.confirm_wait
        changed = wish.not_after is not None and wish.not_after != not_after
        body = messages.granted(OPENINGS[opening.kind], wish.request_id, new.der, changed=changed)
        sent = messages.write(
            body, self.pki, issuer, received, now, implicit=implicit, confirm_by=None if implicit else confirm_by
        )
        return sent, new, confirm_by, implicit

    def _given(self, opening: Message, honest: x509.Certificate, issuer: Issuer, old: x509.Certificate) -> bytes:
        if self.faults is None:
            return profile.der(honest)
        return self.faults.certificate(opening.kind, honest, issuer, old)

    def _hold(self, received: Message, entry: Entry, wish: Wish, now: datetime) -> bytes:
        """Keep the request and ask the client to poll."""
        body = messages.waiting(OPENINGS[received.kind], wish.request_id, WAIT_TEXT)
        sent = self._write(body, entry, received, now)
        transaction = Transaction(
            id=received.header.transaction_id.hex(),
            opening=digest(received),
            old_serial=entry.serial,
            state="waiting",
            answer=sent.der,
            nonces=(sent.nonce,),
            request=received.raw,
            ready_at=now + self.policy.answer_after,
        )
        self.books.keep(transactions=(transaction,))
        return sent.der

    def _poll(self, received: Message, entry: Entry, known: Transaction, now: datetime) -> bytes:
        """A pollRep until the request is through, then the certificate; the same pollReq gets the same bytes."""
        if digest(received) == known.poll:
            return known.poll_answer
        self._expected(received, known)
        if known.state != "waiting" or known.ready_at is None:
            raise Refusal("badRequest", "Giao dịch này không chờ xét duyệt.")
        opening = messages.read(known.request)
        wish = read_wish(opening, load(entry.der))
        polled = replace(known, poll=digest(received))
        if now < known.ready_at:
            seconds = max(1, round((known.ready_at - now).total_seconds()))
            sent = self._write(messages.poll_again(wish.request_id, seconds, WAIT_TEXT), entry, received, now)
            self.books.keep(transactions=(replace(polled, poll_answer=sent.der, nonces=(*known.nonces, sent.nonce)),))
            return sent.der
        if entry.standing != "good":
            raise Refusal("certRevoked", "Chứng thư số đang tạm dừng hoặc đã bị thu hồi.")
        sent, new, confirm_by, implicit = self._issue(opening, received, entry, wish, now)
        through = replace(
            polled,
            poll_answer=sent.der,
            nonces=(*known.nonces, sent.nonce),
            state="confirmed" if implicit else "issued",
            new_serial=new.serial,
            confirm_by=confirm_by,
        )
        self.books.keep(entries=(new,), transactions=(through,))
        return sent.der

    def _confirm(self, received: Message, entry: Entry, known: Transaction, now: datetime) -> bytes:
        """A certConf: accepts, or rejects and undoes; a repeated one gets the same pkiConf."""
        if digest(received) == known.confirmation:
            return known.confirmation_answer
        self._expected(received, known)
        new = self.books.entries.get(known.new_serial)
        if new is None:
            raise Refusal("badRequest", "Chưa có chứng thư số nào để xác nhận.")
        accepted = _accepts(received, new)
        if accepted and known.state == "undone":
            raise Refusal("certRevoked", "Đã quá hạn xác nhận hoặc đã bị từ chối: chứng thư số mới đã bị thu hồi.")
        if not accepted and known.state == "confirmed":
            raise Refusal("certConfirmed", "Chứng thư số mới đã được xác nhận trước đó.")
        if not accepted and known.state == "issued":
            known = self.books.undo(known, now)
        sent = self._write(messages.confirmed(), entry, received, now)
        state = "confirmed" if accepted else known.state
        self.books.keep(
            transactions=(
                replace(known, state=state, confirmation=digest(received), confirmation_answer=sent.der),
            )
        )  # fmt: skip
        return sent.der

    def _inform(self, received: Message, entry: Entry, now: datetime) -> bytes:
        """A genm for caCerts: the issuing CAs and the root."""
        if CA_CERTS not in general_info(received.body):
            raise Refusal("badRequest", "CA không có thông tin này.")
        ders = [issuer.der for issuer in (*self.pki.issuers.values(), self.pki.root)]
        return self._write(messages.ca_certificates(CA_CERTS, ders), entry, received, now).der

    def _expected(self, received: Message, known: Transaction) -> None:
        if received.header.recip_nonce.hex() not in known.nonces:
            raise Refusal("badRecipientNonce", "recipNonce không phải của câu trả lời trước.")

    def _renewer(self, entry: Entry | None) -> Issuer:
        """The CA that issues for a subscriber today, and signs what it is answered."""
        return self.pki.issuers[LCS if entry is not None and entry.issuer == LCS else SAFE_NEW]

    def _write(self, body: bytes, entry: Entry | None, received: Message | None, now: datetime) -> Sent:
        return messages.write(body, self.pki, self._renewer(entry), received, now)


def _accepts(received: Message, new: Entry) -> bool:
    """What a certConf says of the certificate: an empty one, or a rejection, refuses it (RFC 9810 section 5.3.18)."""
    if not received.body.content:
        return False
    said = Fields(elements(received.body.content)[0])
    algorithm, _named = hash_for_confirmation(new.der)
    if said.take(OCTETS).content != certificate_hash(new.der, algorithm):
        raise Refusal("badCertId", "certHash không phải của chứng thư số đã cấp.")
    said.take(INTEGER)  # certReqId
    information = said.maybe(SEQUENCE)
    return information is None or integer(Fields(information).take(INTEGER)) in (0, 1)
