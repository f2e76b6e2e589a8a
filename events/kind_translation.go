package events

// KindTranslation is translation (NIP-90 registry 5002).
const KindTranslation = 5002

var kindTranslation = Kind{
	Number: KindTranslation, Name: "translation", Alt: "Translation job",
	Inputs: Inputs{Min: 1, Max: 16, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: append([]ParamSpec{
		{Name: "language", Type: ParamText, MaxLen: 16, About: "target language, ISO 639-1 or BCP 47; en if missing"},
	}, textParams...),
	Unit: "token", OutUnit: 1024,
	Outputs: []string{"text/plain"},
}
