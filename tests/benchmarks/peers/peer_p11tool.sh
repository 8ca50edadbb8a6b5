#!/bin/bash
# Every certificate on every token, by GnuTLS' p11tool: one process a token, and one to find them.
# usage: peer_p11tool.sh MODULE      (SOFTHSM2_CONF names the tokens)
set -u
module=$1
for url in $(p11tool --provider="$module" --list-token-urls 2>/dev/null); do
  p11tool --provider="$module" --batch --list-all-certs "$url" 2>/dev/null
done
