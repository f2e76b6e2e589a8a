package events

// KindEmbeddings turns texts into vectors (this profile's own number).
const KindEmbeddings = 5800

var kindEmbeddings = Kind{
	Number: KindEmbeddings, Name: "embeddings", Alt: "Embeddings job",
	Inputs: Inputs{Min: 1, Max: 256, Types: []string{"text", "url", "event", "job", "blob"}, Reads: ReadsText},
	Params: []ParamSpec{
		{Name: "model", Type: ParamText, About: "model id; any model if missing"},
		{Name: "dimensions", Type: ParamInt, Min: 1, Max: 65536, About: "shorten the vectors, where the model can"},
	},
	Unit:    "token",
	Outputs: []string{"application/json"}, // an array of vectors, one for each input: [[0.1,-0.2],[0.3,0.4]]
}
