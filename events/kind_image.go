package events

// KindImage is image generation (NIP-90 registry 5100).
const KindImage = 5100

var kindImage = Kind{
	Number: KindImage, Name: "image", Alt: "Image generation job",
	Inputs: Inputs{Min: 1, Max: 1, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: []ParamSpec{
		{Name: "model", Type: ParamText, About: "model id; any model if missing"},
		{Name: "size", Type: ParamSize, Min: 16, Max: 4096, About: `pixels, "1024x768"; the model's own if missing`},
		{Name: "negative_prompt", Type: ParamText, MaxLen: 4096, About: "what the picture should not show"},
		{Name: "steps", Type: ParamInt, Min: 1, Max: 200, About: "how often it is refined"},
		{Name: "guidance", Type: ParamFloat, Min: 0, Max: 30, About: "how closely it follows the prompt"},
		{Name: "seed", Type: ParamInt, Min: -1, Max: 1 << 53, About: "same seed, same engine: same picture"},
	},
	Unit: "picture", OutUnit: 1,
	Outputs: []string{"image/png", "image/jpeg", "image/webp"},
}
