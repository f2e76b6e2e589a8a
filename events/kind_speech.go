package events

// KindSpeech is text to speech (NIP-90 registry 5250).
const KindSpeech = 5250

var kindSpeech = Kind{
	Number: KindSpeech, Name: "text to speech", Alt: "Text to speech job",
	Inputs: Inputs{Min: 1, Max: 1, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: []ParamSpec{
		{Name: "model", Type: ParamText, About: "model id; any model if missing"},
		{Name: "voice", Type: ParamText, MaxLen: 64, About: "one of the model's voices; its own choice if missing"},
		{Name: "language", Type: ParamText, MaxLen: 16, About: "what the text is in, ISO 639-1 or BCP 47"},
		{Name: "speed", Type: ParamFloat, Min: 0.25, Max: 4, About: "2 is twice as fast"},
	},
	Unit:    "character", // of text in
	Outputs: []string{"audio/ogg", "audio/mpeg", "audio/wav", "audio/flac"},
}
