#!/bin/sh
# Run pytest with the arguments as a script's background job does, from a shell that is full of settings: signals are
# ignored, stdin is closed, the home can't be written, files are for their owner alone.
trap '' INT HUP QUIT PIPE
umask 077
env HOME=/proc/nowhere TERM=dumb NO_COLOR=1 FORCE_COLOR=1 COLUMNS=40 LC_ALL=de_DE.ISO-8859-1 TZ=Pacific/Auckland \
    AWS_PROFILE=nobody AWS_REGION=nowhere-1 RQ_SES_QUEUE=nothing RQ_SES_REDIS_URL=redis://127.0.0.1:1 \
    HTTP_PROXY=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 \
    .venv/bin/pytest "$@" <&- &
wait $!
