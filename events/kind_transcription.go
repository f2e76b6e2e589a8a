package events

// KindTranscription is speech to text (NIP-90 registry 5000, "text extraction").
const KindTranscription = 5000

var kindTranscription = Kind{
	Number: KindTranscription, Name: "speech to text", Alt: "Speech to text job",
	Inputs: Inputs{Min: 1, Max: 1, Types: []string{"url", "event", "job", "blob"}, Reads: ReadsSound},
	Params: []ParamSpec{
		{Name: "model", Type: ParamText, About: "model id; any model if missing"},
		{Name: "language", Type: ParamText, MaxLen: 16, About: "what is spoken, ISO 639-1; heard by the model if missing"},
		{Name: "temperature", Type: ParamFloat, Min: 0, Max: 1, About: "0 is the most likely text"},
	},
	Unit:    "second", // of sound in
	Outputs: []string{"text/plain", "text/vtt"},
}
