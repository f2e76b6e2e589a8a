//go:build race

package blob

const race = true
