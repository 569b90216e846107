#!/bin/sh
# Make the recorded answers of a time-stamping authority again: ./make.sh
# Needs openssl 3.0 (Debian 12: apt-get install openssl), whose `ts` leaves the certificates of a chain unsorted.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf 'callseal.ledger/dev-eh7ddx5bksrg\n7\n%s\n\n\342\200\224 callseal.ledger/dev-eh7ddx5bksrg %s\n' \
  'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=' 'AAAAAAA=' > note.txt

cat > "$work/ca.cnf" <<'CNF'
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ts]
default_tsa = authority
[authority]
serial = $ENV::WORK/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1, millisecs:500, microsecs:100
tsa_name = yes
ess_cert_id_alg = sha256
CNF
export WORK="$work"

# certificate <name> <subject> <issuer> <extensions> <kind of key>
certificate() {
  openssl genpkey -quiet -algorithm $5 -out "$work/$1.key" 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
  openssl req -new -key "$work/$1.key" -subj "/O=Example/CN=$2" -out "$work/$1.csr"
  signer="-CA $work/$3.pem -CAkey $work/$3.key"
  [ "$1" != "$3" ] || signer="-key $work/$1.key"
  openssl x509 -req -in "$work/$1.csr" $signer -set_serial "0x$(openssl rand -hex 8 | sed 's/^./1/')" -days 7300 \
    -extfile "$work/ca.cnf" -extensions "$4" -out "$work/$1.pem" 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
}
certificate root 'Example Root' root ca 'EC -pkeyopt ec_paramgen_curve:P-256'
certificate middle 'Example Stamps' root ca 'RSA -pkeyopt rsa_keygen_bits:2048'
certificate tsa 'Example TSA' root tsa 'EC -pkeyopt ec_paramgen_curve:P-256'
certificate below 'Example TSA 2' middle tsa 'RSA -pkeyopt rsa_keygen_bits:2048'
cp "$work/root.pem" root.pem

answer() {
  openssl ts -query -data note.txt -sha256 -cert -no_nonce -config "$work/ca.cnf" -out "$work/question" 2> "$work/log"
  openssl ts -reply -config "$work/ca.cnf" -section authority -queryfile "$work/question" -out "$@" 2> "$work/log" ||
    { cat "$work/log" >&2; exit 1; }
}
answer one.tsr -signer "$work/tsa.pem" -inkey "$work/tsa.key"
answer chain.tsr -signer "$work/below.pem" -inkey "$work/below.key" -chain "$work/middle.pem"
