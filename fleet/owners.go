package fleet

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"infernet/events"
	"infernet/internal/ledger"
)

// Owners are whom a node obeys: the keys of its settings, and the one that claimed it. They, and the newest command of each,
// are in the ledger: a command that was obeyed is not obeyed again after a restart.
type Owners struct {
	ledger *ledger.Ledger
	node   events.PubKey
	fixed  []events.PubKey

	mu      sync.Mutex
	claimed events.PubKey // "" if nobody has
	code    string        // "" once there is an owner
	lock    string        // the code that key was made of
	key     []byte
	seq     map[events.PubKey]int64
	mark    int64 // of the ledger's records of owners
}

// Topics of the ledger's records.
const (
	topicOwner   = "owner"     // claimed: a key; code: the one-time code
	topicSeq     = "owner seq" // by key: the newest command
	topicLasting = "lasting"   // by key: the lasting settings that were applied
)

// OpenOwners reads from the ledger who owns a node. fixed are the keys that its settings name; with any of them, or an owner
// that claimed it, there is no code.
func OpenOwners(l *ledger.Ledger, node events.PubKey, fixed []events.PubKey) (*Owners, error) {
	o := &Owners{ledger: l, node: node, fixed: fixed, seq: map[events.PubKey]int64{}}
	if _, err := o.look(); err != nil {
		return nil, err
	}
	records, err := l.Records(topicSeq, 0)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		o.seq[events.PubKey(r.Name)], _ = strconv.ParseInt(string(r.Value), 10, 64) // written below
	}
	if len(fixed) > 0 || o.claimed != "" || o.code != "" {
		return o, nil
	}
	return o, o.newCode()
}

// look reads who owns the node, where another process has changed that.
func (o *Owners) look() (changed bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	records, err := o.ledger.Records(topicOwner, o.mark)
	for _, r := range records {
		o.mark = r.Seq
		switch value := string(r.Value); r.Name {
		case "claimed":
			changed = changed || o.claimed != events.PubKey(value)
			o.claimed = events.PubKey(value)
		case "code":
			o.code = value
		}
	}
	return changed, err
}

func (o *Owners) read(topic, name string) (string, error) {
	records, err := o.ledger.Records(topic, 0)
	for _, r := range records {
		if r.Name == name {
			return string(r.Value), err
		}
	}
	return "", err
}

// newCode makes a one-time code. It is not changed by wrong guesses: 49 bits are out of reach at 20 guesses a second, and a
// stranger could take it out of its owner's hand by guessing.
func (o *Owners) newCode() error {
	o.code = freshCode()
	return o.ledger.Record(topicOwner, "code", []byte(o.code))
}

// Code is the one-time code with which a key becomes the owner; "" if there is an owner.
func (o *Owners) Code() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.code
}

// Keys are the keys that are obeyed.
func (o *Owners) Keys() []events.PubKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := slices.Clone(o.fixed)
	if o.claimed != "" {
		keys = append(keys, o.claimed)
	}
	return keys
}

// Obeys says whether a key is obeyed.
func (o *Owners) Obeys(key events.PubKey) bool { return slices.Contains(o.Keys(), key) }

// claim makes a key the owner, if it proves that it knows the code. It works once.
func (o *Owners) claim(key events.PubKey, proof string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.code == "" {
		return Refuse(CodeDenied, "the node has an owner")
	}
	if o.lock != o.code { // it is slow: once for each code
		stretched, err := stretch(o.code, o.node)
		if err != nil {
			return err
		}
		o.lock, o.key = o.code, stretched
	}
	if !hmac.Equal([]byte(proof), []byte(proofOf(o.key, key))) {
		return Refuse(CodeDenied, "the code is wrong; the node's log shows the one that holds")
	}
	if err := o.ledger.Record(topicOwner, "claimed", []byte(key)); err != nil {
		return err
	}
	o.claimed, o.code = key, ""
	return o.ledger.Record(topicOwner, "code", nil)
}

// Release lets go of the owner that claimed the node, and makes a new code unless its settings name one.
func (o *Owners) Release() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.ledger.Record(topicOwner, "claimed", nil); err != nil {
		return err
	}
	if o.claimed = ""; len(o.fixed) > 0 {
		return nil
	}
	return o.newCode()
}

// next takes a command's number, durably, before it is obeyed: none is obeyed twice.
func (o *Owners) next(key events.PubKey, seq int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := o.seq[key]; seq <= last {
		return &Error{Code: CodeStale, Text: fmt.Sprintf("command %d comes after %d", seq, last), Seq: last}
	}
	if seq > maxNumber {
		return Refuse(CodeInvalid, "seq %d is too large", seq)
	}
	if err := o.ledger.Record(topicSeq, string(key), []byte(strconv.FormatInt(seq, 10))); err != nil {
		return err
	}
	o.seq[key] = seq
	return nil
}

// applied are the lasting settings of a key that were applied last.
func (o *Owners) applied(key events.PubKey) (doc lasting, err error) {
	text, err := o.read(topicLasting, string(key))
	if err != nil || text == "" {
		return doc, err
	}
	return doc, json.Unmarshal([]byte(text), &doc)
}

func (o *Owners) apply(key events.PubKey, doc lasting) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return o.ledger.Record(topicLasting, string(key), body)
}

// rev is the greatest of what was applied.
func (o *Owners) rev() (rev int64) {
	for _, key := range o.Keys() {
		if doc, err := o.applied(key); err == nil {
			rev = max(rev, doc.Rev)
		}
	}
	return rev
}
