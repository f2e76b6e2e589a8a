// Package attack attacks a market as an enemy would: one test for each row of the threat table that concerns relay, files and
// market and has no test elsewhere. Each prints its figure, as "row N: …"; `go test -v ./internal/attack` is the table.
//
// Relay and file server run in a process of their own, with the limits that `infernet relay` has: what they need is measured
// there. Figures in time depend on the machine and are printed, not asserted; what must never happen is asserted. The long form
// (INFERNET_LONG=1) takes more of everything.
package attack
