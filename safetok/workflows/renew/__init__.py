"""Cấp bù thời hạn: one certificate on one token, from the offer to the open registrations (design: the renewal's states)."""
