package etcd

import (
	"fmt"
	"strings"
	"time"

	"fairlead.dev"
)

// wantedTxnOps is the --max-txn-ops of etcd's default; more is not used.
const wantedTxnOps = 128

// state is what a probe found.
type state struct {
	version  string // the lowest of all members
	members  []member
	verdicts []verdict // of the members
	hidden   string    // why the members are not known
	failures []string  // of reading metrics
	minTTL   time.Duration
	txnOps   int
}

// notes are facts for the operator.
func (st state) notes(c config) []string {
	var notes []string
	if st.hidden == "" {
		notes = append(notes, fmt.Sprintf("voting members: %d; the cluster serves while %d of them do", len(st.members), len(st.members)/2+1))
	}
	if c.assertDurable {
		notes = append(notes, "assert-durable: that members fsync is the operator's word, where their metrics do not tell")
	}
	return notes
}

// unsynced says why a write may be acknowledged that is not on stable storage,
// and is nil if it may not.
func (st state) unsynced(c config) *fairlead.Missing {
	for i, v := range st.verdicts {
		if v.known && !v.fsyncs {
			return &fairlead.Missing{
				Reason: fmt.Sprintf("member %s writes its log without fsync", st.members[i].label()),
				Remedy: "start it without --unsafe-no-fsync",
			}
		}
	}
	if c.assertDurable {
		return nil
	}
	if st.hidden != "" {
		return &fairlead.Missing{
			Reason: "durability is unverified: the members cannot be listed: " + st.hidden,
			Remedy: "let the user list members, or set assert-durable=true",
		}
	}
	for i, v := range st.verdicts {
		if !v.known {
			reason := fmt.Sprintf("durability is unverified: member %s was not seen to fsync its log", st.members[i].label())
			if len(st.failures) > 0 {
				reason += ": " + strings.Join(st.failures, "; ")
			}
			return &fairlead.Missing{Reason: reason, Remedy: "let this program read /metrics at the client URL of every member, or set assert-durable=true"}
		}
	}
	return nil
}

// alone says why no majority of others holds a write, and is nil if one does.
func (st state) alone(c config) *fairlead.Missing {
	if m := st.unsynced(c); m != nil {
		return m
	}
	const remedy = "run three or more voting members"
	switch n := len(st.members); {
	case st.hidden != "":
		return &fairlead.Missing{Reason: "the number of members is not known: " + st.hidden, Remedy: "let the user list members"}
	case n < 3:
		return &fairlead.Missing{Reason: fmt.Sprintf("the cluster has %d voting member(s): the loss of one is not survived", n), Remedy: remedy}
	}
	return nil
}

func (m member) label() string {
	if m.name != "" {
		return m.name
	}
	return fmt.Sprintf("%x", m.id)
}

// claim adds a claim, or why it does not hold.
func claim(f *fairlead.FacetDescription, c fairlead.Claim, m *fairlead.Missing) {
	if m == nil {
		f.Claims = append(f.Claims, c)
		return
	}
	f.Missing = append(f.Missing, fairlead.Missing{Claim: c, Reason: m.Reason, Remedy: m.Remedy})
}
