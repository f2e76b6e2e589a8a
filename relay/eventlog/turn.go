package eventlog

// Turn is what a write sees when its turn has come: the log with everything that was queued before.
type Turn struct {
	log   *Log
	batch *batch
	kills []Ref
	marks []Mark
}

// Mark adds a mark to this write.
func (t *Turn) Mark(m Mark) { t.marks = append(t.marks, m) }

// Kill deletes a record's event together with this write.
func (t *Turn) Kill(r Ref) { t.kills = append(t.kills, r) }

// Find gives the event of an id.
func (t *Turn) Find(id [32]byte) (r Ref, m Meta, ok bool) {
	if r, ok := t.batch.ids[id]; ok && !t.batch.killed[r] {
		return r, t.batch.members[r].meta, true
	}
	r, m, ok = t.log.Find(id)
	return r, m, ok && !t.batch.killed[r]
}

// Version gives the event that an address holds.
func (t *Turn) Version(a Address) (r Ref, m Meta, ok bool) {
	if r, ok := t.batch.newest[a]; ok && !t.batch.killed[r] {
		return r, t.batch.members[r].meta, true
	}
	r, m, ok = t.log.Version(a)
	return r, m, ok && !t.batch.killed[r]
}

// Marks gives all values of a mark's key.
func (t *Turn) Marks(k []byte) [][]byte { return append(t.log.Marks(k), t.batch.marks[string(k)]...) }
