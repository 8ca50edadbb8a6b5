#!/bin/bash
# What `status` reads, by pkcs11-tool and openssl: every token, every certificate, its serial, end and subject.
# usage: peer_pkcs11tool_full.sh MODULE      (SOFTHSM2_CONF names the tokens)
set -u
module=$1
pkcs11-tool --module "$module" --list-token-slots 2>/dev/null | sed -n 's/^Slot [0-9]* (0x\([0-9a-f]*\)).*/0x\1/p' |
  while read -r slot; do
    for id in $(pkcs11-tool --module "$module" --slot "$slot" --list-objects --type cert 2>/dev/null | sed -n 's/^  ID: *//p'); do
      pkcs11-tool --module "$module" --slot "$slot" --read-object --type cert --id "$id" 2>/dev/null |
        openssl x509 -inform DER -noout -serial -enddate -subject
    done
  done
