package events

// Kinds of jobs that run a program: ours, no other use of these numbers was found.
const (
	KindRendering = 5810 // frames of a scene
	KindBatch     = 5820 // a program over some files: scientific computing, conversion, whatever the image holds
)

// program are the parameters of jobs that run a program in an image of the node's. The program finds its inputs as /in/0,
// /in/1 … and leaves its output files in /out; what it prints is in the result.
var program = []ParamSpec{
	{Name: "model", Type: ParamText, About: "the image, as the node names it; any if missing"},
	{Name: "image", Type: ParamText, MaxLen: 71, About: "sha256:… of the image, as announced: with another one nothing is run"},
	{Name: "cmd", Type: ParamJSON, MaxLen: 16384, About: `the program and its arguments, ["blender","-b","/in/0"]`},
	{Name: "env", Type: ParamJSON, MaxLen: 8192, About: `its environment, {"LANG":"C.UTF-8"}; nothing of the node's is in it`},
	{Name: "outputs", Type: ParamJSON, MaxLen: 2048, About: `which files of /out are wanted, ["*.png"]; all if missing, at most 32`},
	{Name: "seconds", Type: ParamInt, Min: 1, Max: 86400, About: "how long it may run; the node's own limit if missing"},
	{Name: "memory", Type: ParamInt, Min: 16, Max: 1 << 20, About: "MiB that it may use; the node's own limit if missing"},
}

var kindRendering = Kind{
	Number: KindRendering, Name: "rendering", Alt: "Rendering job",
	Inputs: Inputs{Max: 32, Types: []string{"text", "url", "event", "job", "blob"}},
	Params: program, Unit: "file", OutUnit: 32,
	Outputs: []string{"application/json"},
}

var kindBatch = Kind{
	Number: KindBatch, Name: "batch", Alt: "Batch job",
	Inputs: Inputs{Max: 32, Types: []string{"text", "url", "event", "job", "blob"}},
	Params: program, Unit: "file", OutUnit: 32,
	Outputs: []string{"application/json"},
}
