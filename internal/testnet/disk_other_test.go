//go:build !linux

package testnet

import "testing"

const namespaceEnv = "INFERNET_TEST_NAMESPACE"

// inNamespace: disks are filled on Linux only.
func inNamespace(t *testing.T) bool {
	t.Log("no disks are filled: that needs Linux")
	return false
}

func (m *parties) dir(string) string { return m.t.TempDir() }

func fill(string) func() { return func() {} }
