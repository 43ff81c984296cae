#!/bin/sh
# As Harbor's entrypoints do before they start their program: the CA bundle is written anew, with the certificates
# that were mounted. Fails on a read-only root, as theirs do. What it then runs is appended when an image is made.
set -eu
bundle=/etc/pki/tls/certs/ca-bundle.crt
[ -f "$HOME/ca-bundle.crt.original" ] || cp "$bundle" "$HOME/ca-bundle.crt.original"
cp "$HOME/ca-bundle.crt.original" "$bundle"
for certificate in /etc/harbor/ssl/*/ca.crt /harbor_cust_cert/*.crt /harbor_cust_cert/*.ca /harbor_cust_cert/*.ca-bundle \
    /harbor_cust_cert/*.pem; do
    [ ! -f "$certificate" ] || { echo && cat "$certificate"; } >>"$bundle"
done
