#!/usr/bin/env bash
# The API by hand: chat, stream, pause, resume, cancel, fork. Needs a running server: agio serve
#   bash examples/curl.sh
# AGIO_URL names another server than http://localhost:8000.
set -euo pipefail
url=${AGIO_URL:-http://localhost:8000}
run=curl-$RANDOM-$RANDOM # a client may choose the run's id, so that it can control it from the start

say() { printf '\n\n# %s\n' "$*"; }
post() { curl -fsS -X POST "$url$1" -H 'Content-Type: application/json' -d "$2"; }

say "is the server there, and which agents has it?"
curl -fsS "$url/api/health"
curl -fsS "$url/api/agents"

say "chat, and wait for the whole answer"
post /api/chat '{"agent_id": "assistant", "message": "What is 6 * 7?", "stream": false}'

say "chat, and see the events as they come"
curl -fsSN -X POST "$url/api/chat" -H 'Content-Type: application/json' \
    -d '{"agent_id": "assistant", "message": "What is 6 * 7?"}'

say "start a run and leave it: it goes on by itself"
post /api/runs "{\"agent_id\": \"assistant\", \"message\": \"Count to 500 slowly\", \"run_id\": \"$run\"}"

say "pause it, let it go on, cancel it"
post "/api/runs/$run/pause" '{"mode": "now"}'
post "/api/runs/$run/resume" '{}'
post "/api/runs/$run/cancel" '{"reason": "seen enough"}'

say "what happened, from the first event to the last"
curl -fsSN "$url/api/runs/$run/events"

say "fork it from its first checkpoint, with another prompt"
checkpoint=$(curl -fsS "$url/api/runs/$run/checkpoints" | grep -o '"id": *"[^"]*"' | head -n 1 | cut -d '"' -f 4)
post "/api/checkpoints/$checkpoint/fork" '{"modifications": {"modified_query": "What is 7 * 8?"}}'
echo
