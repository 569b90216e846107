#!/bin/sh
# Make the shipped announcements again: ./make.sh
# Needs espeak-ng 1.51, flite 2.2 and sox 14.4 (Debian 12: apt-get install espeak-ng flite sox).
set -eu
cd "$(dirname "$0")"
raw=$(mktemp -d)
trap 'rm -rf "$raw"' EXIT

# Pinyin with tone numbers, and the pinyin voice: given characters, the plain voice "cmn" reads the
# pinyin of its dictionary as if it were English.
espeak-ng -b 1 -v cmn-latn-pinyin -s 155 -w "$raw/zh.wav" \
  'nin2 hao3! wei4 bao3 zhang4 nin2 de5 quan2 yi4, ti2 sheng1 fu2 wu4 zhi4 liang4, ben3 ci4 tong1 hua4 jiang1 bei4 lu4 yin1.'
flite -voice slt -o "$raw/en.wav" -t 'Hello. To protect your interests, this call is recorded.'

# Silence off both ends; below 120 Hz a telephone carries nothing but hum. The soft limiter takes the
# tallest peaks down, so that the speech itself reaches -20 dBov (ITU-T P.56) with its peaks below
# -3 dBFS; the last gain was measured. -R: the same dither at every run, so the same files come out.
finish() {
  sox -R "$raw/$1.wav" -c 1 -b 16 -e signed-integer "$1.wav" gain -n -8 \
    silence 1 0.02 0.2% reverse silence 1 0.02 0.2% reverse highpass 120 rate -v 16000 \
    compand 0.002,0.05 6:-70,-70,-20,-20,0,-14 0 -90 0.002 gain "$2" pad 0.2 0.3
}
finish zh 8.5
finish en 4.8
