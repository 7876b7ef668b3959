package providers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// hostTimeout bounds a look at one host.
const hostTimeout = 4 * time.Second

// forEachHost looks at hosts at the same time, and returns what it finds in order.
func forEachHost(ctx context.Context, hosts []string, look func(context.Context, string) Finding) []Finding {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	found := make([]Finding, len(hosts))
	var group sync.WaitGroup
	for i, h := range hosts {
		group.Go(func() {
			found[i] = look(ctx, h)
			found[i].Subject = h
		})
	}
	group.Wait()
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Status == "" })
}

// healthyHosts returns the hosts without a problem.
func healthyHosts(hosts []string, found []Finding) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
		return slices.ContainsFunc(found, func(f Finding) bool { return f.Subject == h && f.Status == CheckProblem })
	})
}

// checkNames resolves the names of the hosts.
func (d *diagnosis) checkNames(ctx context.Context) []Finding {
	found := forEachHost(ctx, d.inspection.Hosts, resolve)
	d.resolved = healthyHosts(d.inspection.Hosts, found)
	if len(found) == 0 {
		return []Finding{{Status: CheckOK, Seen: "no name to resolve"}}
	}
	return found
}

func resolve(ctx context.Context, host string) Finding {
	name, _, err := net.SplitHostPort(host)
	if err == nil && net.ParseIP(name) != nil {
		return Finding{}
	}
	began := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return Finding{Status: CheckProblem, Seen: err.Error(), Fix: "correct the name in the URL, or the name service of this machine"}
	}
	return Finding{Status: CheckOK, Seen: fmt.Sprintf("%s, in %v", strings.Join(addresses, ", "), roundTime(time.Since(began)))}
}

func roundTime(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// checkDial connects to each host.
func (d *diagnosis) checkDial(ctx context.Context) []Finding {
	found := forEachHost(ctx, d.resolved, func(ctx context.Context, host string) Finding {
		began := time.Now()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err != nil {
			return Finding{Status: CheckProblem, Seen: err.Error(), Fix: dialFix(err)}
		}
		_ = conn.Close()
		return Finding{Status: CheckOK, Seen: fmt.Sprintf("connected in %v", roundTime(time.Since(began)))}
	})
	d.dialed = healthyHosts(d.resolved, found)
	if len(found) == 0 {
		return []Finding{{Status: CheckOK, Seen: "no host to connect to"}}
	}
	return found
}

func dialFix(err error) string {
	var silent net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the server, or correct the port: nothing listens there"
	case errors.As(err, &silent) && silent.Timeout():
		return "see that the host runs, and that no firewall drops the connection"
	}
	return "see that this machine can reach the host"
}

// checkTLS compares what each host speaks with what the URL demands.
func (d *diagnosis) checkTLS(ctx context.Context) []Finding {
	if d.scheme.Inspect == nil && d.settings.givenTLS() == "" {
		return []Finding{{Status: CheckNotTold, Seen: "the provider does not say whether it uses TLS; the check " + CheckOpen + " says whether it connects"}}
	}
	if d.scheme.Inspect == nil {
		conf, err := d.settings.TLSConfig()
		if err != nil {
			return ProblemOf(err, "")
		}
		d.inspection.TLS = conf
	}
	found := forEachHost(ctx, d.dialed, d.checkTLSOf)
	if len(found) == 0 {
		return []Finding{{Status: CheckOK, Seen: "no host to connect to"}}
	}
	return found
}

func (d *diagnosis) checkTLSOf(ctx context.Context, host string) Finding {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return Finding{Status: CheckProblem, Seen: err.Error(), Fix: dialFix(err)}
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	speaks := SpeaksUnknown
	if d.inspection.Speaks != nil {
		speaks = d.inspection.Speaks(ctx, conn)
	}
	if d.inspection.TLS == nil {
		return d.checkWithoutTLS(ctx, host, speaks)
	}
	switch speaks {
	case SpeaksPlain:
		return Finding{Status: CheckProblem, Seen: "a plain port met with TLS: the URL demands TLS, and the server does not speak it on this port",
			Fix: d.inspection.DemandPlain + ", or the server's port for TLS"}
	case SpeaksUpgrade, SpeaksUpgradable:
		return d.handshake(ctx, conn, host)
	}
	_ = conn.Close()
	fresh, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return Finding{Status: CheckProblem, Seen: err.Error(), Fix: dialFix(err)}
	}
	defer func() { _ = fresh.Close() }()
	return d.handshake(ctx, fresh, host)
}

// checkWithoutTLS is for a URL that does not demand TLS.
func (d *diagnosis) checkWithoutTLS(ctx context.Context, host string, speaks Speech) Finding {
	switch {
	case speaks == SpeaksUpgrade, speaks == SpeaksTLS && handshakes(ctx, host):
		return Finding{Status: CheckProblem, Seen: "a TLS port met without TLS: the server speaks TLS on this port, and the URL does not demand it",
			Fix: d.inspection.DemandTLS}
	case speaks == SpeaksUpgradable:
		return Finding{Status: CheckOK, Seen: "not used: nothing is encrypted; the server offers TLS: " + d.inspection.DemandTLS}
	case speaks == SpeaksPlain:
		return Finding{Status: CheckOK, Seen: "not used: nothing is encrypted"}
	}
	return Finding{Status: CheckWarning, Seen: "the server accepts connections, and does not answer", Fix: "see that the server is not overloaded or stopped, and that the port is the right one"}
}

// handshakes reports whether a host answers a handshake of TLS.
func handshakes(ctx context.Context, host string) bool {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
