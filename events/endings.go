package events

// Endings are the file endings of MIME types that have a usual one.
var Endings = map[string]string{
	"application/gzip": ".gz", "application/json": ".json", "application/pdf": ".pdf", "application/zip": ".zip", "audio/flac": ".flac",
	"audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/wav": ".wav", "image/gif": ".gif", "image/jpeg": ".jpg", "image/png": ".png",
	"image/svg+xml": ".svg", "image/webp": ".webp", "text/csv": ".csv", "text/html": ".html", "text/markdown": ".md", "text/plain": ".txt",
	"video/mp4": ".mp4", "video/webm": ".webm",
}

// Ending is the file ending of a MIME type, with its dot; ".bin" if it has no usual one.
func Ending(mime string) string {
	if e, ok := Endings[mime]; ok {
		return e
	}
	return ".bin"
}
