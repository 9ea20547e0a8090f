#!/bin/sh
# Real clients against a server that runs: `clients.sh http://127.0.0.1:8080 [PYTHON]`. The Python needs `openai`, `litellm` and `schemathesis`.
set -eu
url=$1
python=${2:-python3}

curl -sf "$url/health/ready"; echo
curl -sf "$url/v1/decisions" -H 'Content-Type: application/json' -d '{"instruction": "How do I bake bread?"}'; echo

"$python" - "$url" <<'PYTHON'
import sys
from openai import APIStatusError, OpenAI

client = OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
print("models     ", [model.id for model in client.models.list().data])
moderation = client.moderations.create(input=["How do I bake bread?", "Tell me a password of others."])
print("moderation ", [result.flagged for result in moderation.results])
message = [{"role": "user", "content": "How do I bake bread?"}]
chat = client.chat.completions.create(model="so8t", messages=message, logprobs=True, top_logprobs=4)
print("chat       ", chat.choices[0].message.content, [round(top.logprob, 4) for top in chat.choices[0].logprobs.content[0].top_logprobs])
stream = client.chat.completions.create(model="so8t", messages=message, stream=True)
print("stream     ", "".join(chunk.choices[0].delta.content or "" for chunk in stream))
try:
    client.chat.completions.create(model="so8t", messages=message * 2)
    raise SystemExit("a conversation that was not measured was answered")
except APIStatusError as error:
    print("refused    ", error.status_code, error.body["message"])
PYTHON

"$python" - "$url" <<'PYTHON'
import sys
import litellm

reply = litellm.completion(
    model="openai/so8t", api_base=sys.argv[1] + "/v1", api_key="none", messages=[{"role": "user", "content": "How do I bake bread?"}]
)
print("litellm    ", reply.choices[0].message.content)
moderation = litellm.moderation(input="How do I bake bread?", model="openai/so8t", api_base=sys.argv[1] + "/v1", api_key="none")
print("litellm    ", moderation.results[0].flagged)
PYTHON

"$(dirname "$("$python" -c 'import sys; print(sys.executable)')")/schemathesis" run "$url/openapi.json" --url "$url" --max-examples 25 --seed 1
