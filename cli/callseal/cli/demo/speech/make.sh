#!/bin/sh
# Make the demo's two conversations again: ./make.sh
# Needs espeak-ng 1.51, flite 2.2 and sox 14.4 (Debian 12: apt-get install espeak-ng flite sox).
set -eu
cd "$(dirname "$0")"
raw=$(mktemp -d)
trap 'rm -rf "$raw"' EXIT

# Chinese: pinyin with tone numbers, as for the announcements.
zh() { espeak-ng -b 1 -v "cmn-latn-pinyin$1" -s 165 -w "$raw/$2.wav" "$3"; }
en() { flite -voice "$1" -o "$raw/$2.wav" -t "$3"; }
zh '' zh-agent 'nin2 hao3, wo3 shi4 bao3 xian3 gong1 si1 de5 ke4 fu2. nin2 de5 bao3 dan1 xia4 ge4 yue4 dao4 qi1, xiang3 gen1 nin2 que4 ren4 xu4 bao3.'
zh '+f3' zh-customer 'hao3 de5, wo3 xiang3 xian1 wen4 yi2 xia4, jin1 nian2 de5 bao3 fei4 you3 bian4 hua4 ma5?'
en rms en-agent 'Good morning, you are through to the claims desk. I have your letter in front of me. How can I help you today?'
en slt en-customer 'Hello. I sent the hospital bill two weeks ago, and I would like to know when it will be paid.'

# 8 kHz mono as a telephone line carries it, silence off both ends, peaks at -9 dBFS.
voice() {
  sox -R "$raw/$1.wav" -r 8000 -c 1 -b 16 -e signed-integer "$raw/$1-8k.wav" \
    silence 1 0.02 0.2% reverse silence 1 0.02 0.2% reverse highpass 120 gain -n -9
}
# One after the other: each is silent while the other speaks.
talk() {
  voice "$1"; voice "$2"
  first=$(soxi -D "$raw/$1-8k.wav"); second=$(soxi -D "$raw/$2-8k.wav")
  sox -R "$raw/$1-8k.wav" -b 16 "$1.wav" pad 0 "$second"
  sox -R "$raw/$2-8k.wav" -b 16 "$2.wav" pad "$first" 0
}
talk zh-agent zh-customer
talk en-agent en-customer
