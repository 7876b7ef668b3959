package providers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"fairlead.dev"
)

// CheckStatus is what a check of a diagnosis has found.
type CheckStatus string

// The states of a finding.
const (
	CheckOK         CheckStatus = "ok"
	CheckWarning    CheckStatus = "warning"     // it works, with less than it could
	CheckProblem    CheckStatus = "problem"     // it does not work; Fix or Command says what to do
	CheckNotTold    CheckStatus = "not told"    // the backend, or the provider, does not tell
	CheckNotReached CheckStatus = "not reached" // an earlier check failed
)

// The names of the checks that most backends have, in their usual order.
const (
	CheckURL         = "URL"
	CheckName        = "name"
	CheckDial        = "dial"
	CheckTLS         = "TLS"
	CheckLogin       = "login"
	CheckPermissions = "permissions"
	CheckClock       = "clock"
	CheckVersion     = "version"
	CheckOpen        = "open"
	CheckDurability  = "durability"
	CheckQuotas      = "quotas"
	CheckEviction    = "eviction"
)

// Finding is one result of a check. It holds no credential.
type Finding struct {
	Check   string      `json:"check"`
	Subject string      `json:"subject,omitempty"` // what was checked, for example a host; empty if there is only one
	Status  CheckStatus `json:"status"`
	Seen    string      `json:"seen"`
	Fix     string      `json:"fix,omitempty"`     // what to do
	Command string      `json:"command,omitempty"` // a shell command that does it, run by an administrator of the backend
}

// Check is one step of a diagnosis. Run returns what it finds; the names of the check
// in its findings may be empty. A Check without Run is one that the backend does not
// tell anything about.
type Check struct {
	Name string
	// Essential: the checks after this one are not reached if all that it finds are
	// problems.
	Essential bool
	Run       func(ctx context.Context) []Finding
}

// Trial is what a diagnosis may use on a backend.
type Trial struct {
	// Name is a name that no store, topic or service has. A check that has to do
	// something in order to find out uses it, and removes what it made.
	Name   string
	Facets []fairlead.Facet // those whose permissions are checked
}

// Wants reports whether the permissions of a facet are checked. The facet config is in
// a store: it needs the permissions of kv.
func (t Trial) Wants(f fairlead.Facet) bool {
	for _, wanted := range t.Facets {
		if wanted == f || wanted == fairlead.Config && f == fairlead.KV {
			return true
		}
	}
	return false
}

// Inspection is what a provider knows about the backend of a URL before it connects.
// See [Scheme].
type Inspection struct {
	Hosts []string    // each with its port
	TLS   *tls.Config // what the provider demands; nil: no TLS
	// Speaks finds out what a server speaks on a new connection, from what it says to a
	// client that begins without TLS. Nil if there is no way to find out.
	Speaks func(ctx context.Context, conn net.Conn) Speech
	// DemandTLS and DemandPlain say how to change the URL, for example "use rediss://".
	DemandTLS, DemandPlain string

	Checks []Check // after the hosts were dialed: login, permissions, clock, version
	Limits []Check // after the provider was opened: quotas, eviction
	Close  func()  // ends what the checks have opened; may be nil
}

// Speech is what a server speaks on a port.
type Speech string

// What a server may speak. Over a port that upgrades, TLS begins after a greeting
// without it.
const (
	SpeaksUnknown    Speech = ""
	SpeaksPlain      Speech = "no TLS"
	SpeaksTLS        Speech = "TLS"
	SpeaksUpgrade    Speech = "TLS after a greeting"
	SpeaksUpgradable Speech = "TLS after a greeting, if the client wants it"
)

// SpeaksAfter returns a function for [Inspection.Speaks] for a protocol in which the
// client speaks first: it sends text, to which a server without TLS answers.
func SpeaksAfter(text string) func(context.Context, net.Conn) Speech {
	const patience = time.Second // a server that says nothing may speak either
	const alert = 0x15           // the first byte of an alert of TLS
	return func(_ context.Context, conn net.Conn) Speech {
		_ = conn.SetDeadline(time.Now().Add(patience))
		defer func() { _ = conn.SetDeadline(time.Time{}) }()
		answer := make([]byte, 1)
		if _, err := conn.Write([]byte(text)); err != nil {
			return SpeaksUnknown
		}
		var silent net.Error
		switch _, err := conn.Read(answer); {
		case err == nil && answer[0] != alert:
			return SpeaksPlain
		case errors.As(err, &silent) && silent.Timeout():
			return SpeaksUnknown
		}
		return SpeaksTLS
	}
}

// ClockFinding compares a time that the backend told, exact to resolution, with the
// times of this machine before and after the question.
func ClockFinding(told, before, after time.Time, resolution time.Duration) Finding {
	const tolerance = time.Second
	var differs time.Duration
	switch {
	case told.Add(resolution).Before(before):
		differs = told.Add(resolution).Sub(before)
	case told.After(after):
		differs = told.Sub(after)
	}
	f := Finding{Check: CheckClock, Status: CheckOK, Seen: "no difference to this machine's clock"}
	if resolution > time.Millisecond {
		f.Seen += fmt.Sprintf(", as exactly as the backend tells it (%v)", resolution)
	}
	if differs != 0 {
		f.Seen = fmt.Sprintf("%v %s this machine's clock", differs.Abs().Round(time.Millisecond), aheadOrBehind(differs))
	}
	if differs.Abs() > tolerance {
		f.Status, f.Fix = CheckWarning, "synchronize both clocks, for example with chrony"
	}
	return f
}

func aheadOrBehind(d time.Duration) string {
	if d > 0 {
		return "ahead of"
	}
	return "behind"
}

// FormatBytes returns a number of bytes as a person reads it.
func FormatBytes(n float64) string {
	unit := "bytes"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n < 1000 {
			break
		}
		n, unit = n/1024, larger
	}
	if unit == "bytes" {
		return fmt.Sprintf("%.0f bytes", n)
	}
	return fmt.Sprintf("%.1f %s", n, unit)
}
