package events

// KindText is text generation (NIP-90 registry 5050).
const KindText = 5050

var kindText = Kind{
	Number: KindText, Name: "text generation", Alt: "Text generation job",
	Inputs: Inputs{Min: 1, Max: 16, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: append([]ParamSpec{
		{Name: "messages", Type: ParamJSON, MaxLen: MaxEncrypted, About: `the conversation so far: a JSON array of {"role","content"}, before the input`},
		{Name: "system", Type: ParamText, MaxLen: 16384, About: "what the model is told before the conversation"},
	}, textParams...),
	Unit: "token", OutUnit: 512,
	Outputs: []string{"text/plain", "text/markdown"},
}
