"""Asks, and shows the reply as it comes. If the connection breaks, it goes on where it was. Needs Python 3 alone."""
import http.client, json, sys, time, urllib.error, urllib.request, uuid

url, question = (sys.argv[1:] + ["http://localhost:3000", "I need a holiday."][len(sys.argv) - 1 :])[:2]
body = {"conversation_id": "python", "user_input": question, "request_id": str(uuid.uuid4()), "stream": True}
headers, event = {"content-type": "application/json"}, ""
while event not in ("llm_response", "llm_error"):
    try:
        request = urllib.request.Request(f"{url}/generate_response", json.dumps(body).encode(), headers)
        for line in urllib.request.urlopen(request, timeout=60):
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "id":
                headers["last-event-id"] = value  # sent again, it asks for what comes behind it
            elif field == "event":
                event = value
            elif field == "data" and event == "llm_delta" and json.loads(value)["channel"] == "content":
                print(json.loads(value)["text"], end="", flush=True)
            elif field == "data" and event in ("llm_response", "llm_error"):
                print("\n" + str(json.loads(value).get("error") or "The end."))
    except urllib.error.HTTPError as refusal:
        sys.exit(json.load(refusal)["error"])
    except (OSError, http.client.HTTPException):
        time.sleep(1)  # the reply goes on without us
