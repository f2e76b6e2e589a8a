package events

// KindSummary is summarization (NIP-90 registry 5001).
const KindSummary = 5001

var kindSummary = Kind{
	Number: KindSummary, Name: "summary", Alt: "Summarization job",
	Inputs: Inputs{Min: 1, Max: 16, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: append([]ParamSpec{
		{Name: "length", Type: ParamText, About: `how long, in words: "3 sentences", "2 paragraphs"`},
	}, textParams...),
	Unit: "token", OutUnit: 512,
	Outputs: []string{"text/plain", "text/markdown"},
}
