#!/bin/sh
# Buys one chat, as any app that knows OpenAI's API, then one job over our own API, with its stream from the beginning.
#   usage: eval "$(infernet connect sdk)"; examples/chat.sh [MODEL]
set -eu
url=${INFERNET_URL:-http://127.0.0.1:3000} model=${1:-auto}

curl -sS --fail-with-body "$url/v1/chat/completions" -H 'Content-Type: application/json' \
	-d '{"model": "'"$model"'", "messages": [{"role": "user", "content": "Write one sentence about the sea."}], "max_tokens": 64}'

job=$(curl -sS --fail-with-body "$url/api/v1/jobs" -H 'Content-Type: application/json' \
	-d '{"type": "text", "input": {"prompt": "Write one sentence about the moon.", "max_tokens": 64}, "budget": {"max_cost_sats": 100}}')
id=$(expr "$job" : '.*"id":"\([0-9a-f]*\)"')
curl -sS --fail-with-body "$url/api/v1/jobs/$id/events"
