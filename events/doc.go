// Package events is the vocabulary of the market: one Go type for each signed message, and the one function that says
// where a job stands.
//
// Every message has a Parse/Event pair under the strict grammar of docs/protocol.md: Parse(Sign(m)) gives m back.
// Messages that travel encrypted are opened with Open, by one of their two parties. Fold computes a job's state from
// the messages seen so far, in any order, with repeats. Nothing here does I/O.
//
// Begin with Message, Request and Fold.
package events
