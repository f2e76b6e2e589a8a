//go:build !cgo || !linux

package gpu

// nvmlProbes is empty where NVIDIA's library cannot be linked: nvidia-smi is asked instead.
func nvmlProbes() []Probe { return nil }
