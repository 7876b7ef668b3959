package etcd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
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

	nearlyFull bool // the database of a member
}

// notes are facts for the operator.
func (st state) notes(c config) []string {
	var notes []string
	if st.hidden == "" {
		notes = append(notes, fmt.Sprintf("voting members: %d; the cluster serves while %d of them do", len(st.members), len(st.members)/2+1))
	}
	if st.nearlyFull {
		notes = append(notes, "the database of a member has used nine tenths of --quota-backend-bytes or more; when it is full, writes are refused: compact its history, and defragment the member")
	}
	if c.assertDurable {
		notes = append(notes, "assert-durable: the operator vouches that members fsync, for those whose metrics do not tell")
	}
	return notes
}

// undurable lists why an acknowledged write may not be on stable storage.
func (st state) undurable(c config) []providers.Lack {
	for i, v := range st.verdicts {
		if v.known && !v.fsyncs {
			return []providers.Lack{{
				Reason: fmt.Sprintf("member %s writes its log without fsync", st.members[i].label()),
				Remedy: "start it without --unsafe-no-fsync",
			}}
		}
	}
	switch {
	case c.assertDurable:
		return nil
	case st.hidden != "":
		return []providers.Lack{{
			Reason: "durability is unverified: the members cannot be listed: " + st.hidden,
			Remedy: "let the user list members, or set assert-durable=true",
		}}
	}
	return st.unverified()
}

// durabilityBasis returns what the claims of durability rest on, if they hold.
func (st state) durabilityBasis() fairlead.Basis {
	if st.hidden != "" || len(st.unverified()) > 0 {
		return providers.Asserted("assert-durable=true")
	}
	return providers.Verified("every voting member was seen to call fsync for its log (/metrics)")
}

// unverified names the first member whose fsyncs were not observed.
func (st state) unverified() []providers.Lack {
	i := slices.IndexFunc(st.verdicts, func(v verdict) bool { return !v.known })
	if i < 0 {
		return nil
	}
	reason := fmt.Sprintf("durability is unverified: member %s was not seen to fsync its log", st.members[i].label())
	if len(st.failures) > 0 {
		reason += ": " + strings.Join(st.failures, "; ")
	}
	return []providers.Lack{{Reason: reason, Remedy: "let this program read /metrics at the client URL of every member, or set assert-durable=true"}}
}

// unreplicated lists why an acknowledged write may not be on the stable storage of
// a majority.
func (st state) unreplicated(c config) []providers.Lack {
	if lacks := st.undurable(c); len(lacks) > 0 {
		return lacks
	}
	switch n := len(st.members); {
	case st.hidden != "":
		return []providers.Lack{{Reason: "the number of members is not known: " + st.hidden, Remedy: "let the user list members"}}
	case n < 3:
		return []providers.Lack{{Reason: fmt.Sprintf("the cluster has %d voting member(s): the loss of one is not survived", n), Remedy: "run three or more voting members"}}
	}
	return nil
}

func (m member) label() string {
	if m.name != "" {
		return m.name
	}
	return fmt.Sprintf("%x", m.id)
}
