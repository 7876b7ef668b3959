package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/opening"
)

// checkTimeout bounds one check of a diagnosis.
const checkTimeout = 15 * time.Second

// diagnosis is one run of Diagnose.
type diagnosis struct {
	rawURL  string
	options opening.Options
	trial   Trial
	report  func(Finding)

	failed     string // the essential check that failed, and ended the diagnosis
	scheme     Scheme
	settings   Settings
	inspection Inspection
	resolved   []string // the hosts whose names are known
	dialed     []string // the hosts that accepted a connection
	provider   fairlead.Provider
	described  fairlead.Description
}

// Diagnose checks the backend of a URL, from the URL itself to its quotas, and calls
// report with each finding, in order. It also works, and is needed most, if
// [fairlead.Open] fails. It creates no store, topic or service. A check that depends on
// one that failed is reported, too, as not reached.
//
// The error is Invalid if an option is wrong. All else is a finding.
func Diagnose(ctx context.Context, rawURL string, t Trial, report func(Finding), opts ...fairlead.Option) error {
	if i := slices.Index(opts, nil); i >= 0 {
		return fairlead.Errorf(fairlead.Invalid, "option %d of Diagnose is nil; leave it out", i+1)
	}
	o, err := opening.Resolve(opts)
	if err != nil {
		return err
	}
	d := &diagnosis{rawURL: rawURL, options: o, trial: t, report: report}
	defer d.close(ctx)
	for _, step := range []func() []Check{d.firstChecks, d.ownChecks, d.openChecks, d.limitChecks} {
		for _, c := range step() { // a step depends on what the one before has found
			d.run(ctx, c)
		}
	}
	return nil
}

func (d *diagnosis) close(ctx context.Context) {
	if d.inspection.Close != nil {
		d.inspection.Close()
	}
	if d.provider != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		_ = d.provider.Close(ctx)
	}
}

func (d *diagnosis) firstChecks() []Check {
	return []Check{
		{Name: CheckURL, Essential: true, Run: d.checkURL},
		{Name: CheckName, Essential: true, Run: d.checkNames},
		{Name: CheckDial, Essential: true, Run: d.checkDial},
		{Name: CheckTLS, Essential: true, Run: d.checkTLS},
	}
}

// ownChecks are those of the scheme, before the provider is opened.
func (d *diagnosis) ownChecks() []Check {
	if d.failed == CheckURL || d.scheme.Inspect == nil {
		return []Check{{Name: CheckLogin}, {Name: CheckPermissions}, {Name: CheckClock}}
	}
	return d.inspection.Checks
}

func (d *diagnosis) openChecks() []Check {
	checks := []Check{{Name: CheckOpen, Run: d.checkOpen}}
	if d.scheme.Inspect == nil {
		checks = append(checks, Check{Name: CheckVersion, Run: d.checkVersion})
	}
	return append(checks, Check{Name: CheckDurability, Run: d.checkDurability})
}

// limitChecks are those of the scheme, after the provider was opened.
func (d *diagnosis) limitChecks() []Check {
	if d.failed == CheckURL || d.scheme.Inspect == nil {
		return []Check{{Name: CheckQuotas}, {Name: CheckEviction}}
	}
	return d.inspection.Limits
}

func (d *diagnosis) run(ctx context.Context, c Check) {
	for _, f := range d.findingsOf(ctx, c) {
		f.Check = cmp.Or(f.Check, c.Name)
		d.report(f)
	}
}

func (d *diagnosis) findingsOf(ctx context.Context, c Check) []Finding {
	switch {
	case d.failed != "":
		return []Finding{{Status: CheckNotReached, Seen: "the check " + d.failed + " failed"}}
	case ctx.Err() != nil:
		return []Finding{{Status: CheckNotReached, Seen: "the diagnosis was interrupted"}}
	case c.Run == nil:
		return []Finding{{Status: CheckNotTold, Seen: "not told by the " + d.teller()}}
	}
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := c.Run(bounded)
	healthy := func(f Finding) bool { return f.Status != CheckProblem }
	if c.Essential && len(found) > 0 && !slices.ContainsFunc(found, healthy) {
		d.failed = c.Name
	}
	return found
}

// teller is who does not tell what cannot be checked.
func (d *diagnosis) teller() string {
	if d.scheme.Inspect == nil {
		return "provider"
	}
	return "backend"
}

// checkURL parses the URL, finds its scheme, and reads the secrets and files that the
// settings name.
func (d *diagnosis) checkURL(ctx context.Context) []Finding {
	err := d.readURL(ctx)
	if err != nil {
		return []Finding{{Status: CheckProblem, Seen: textOf(err), Fix: "correct the URL, or what its settings name"}}
	}
	return []Finding{{Status: CheckOK, Seen: d.urlText()}}
}

func (d *diagnosis) readURL(ctx context.Context) error {
	u, err := parseURL(d.rawURL)
	if err != nil {
		return err
	}
	s, err := schemeOf(ctx, u.Scheme)
	if err != nil {
		return err
	}
	if d.settings, err = s.Parse(d.rawURL); err != nil {
		return err
	}
	d.settings.Logger, d.settings.lookupEnv = d.options.Logger, d.options.LookupEnv
	d.scheme = s
	if s.Inspect != nil {
		d.inspection, err = s.Inspect(d.settings, d.trial)
		return err
	}
	d.inspection.Hosts = d.settings.namedHosts()
	return d.settings.checkSecrets()
}

// namedHosts returns the hosts that the URL names with a port. For a scheme that does
// not say what its default port is, the others are not known.
func (s Settings) namedHosts() (hosts []string) {
	for _, h := range strings.Split(s.URL.Host, ",") {
		if _, _, err := net.SplitHostPort(h); err == nil {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// checkSecrets reads the secrets that settings of the kinds Env and File name.
func (s Settings) checkSecrets() error {
	for _, d := range s.declared {
		name, isSecret := strings.CutSuffix(d.Name, "-env")
		if d.Kind != Env || !isSecret || s.index(name+"-file") < 0 {
			continue
		}
		if _, err := s.Secret(name); err != nil {
			return err
		}
	}
	return nil
}

// urlText says what the URL has. It shows no user: the user may be a token.
func (d *diagnosis) urlText() string {
	parts := []string{"scheme " + d.settings.URL.Scheme}
	if hosts := d.inspection.Hosts; len(hosts) > 0 {
		parts = append(parts, strings.Join(hosts, ", "))
	} else {
		parts = append(parts, "no host")
	}
	if d.settings.URL.User != nil {
		parts = append(parts, "with credentials")
	}
	if names := slices.Sorted(maps.Keys(d.settings.values)); len(names) > 0 {
		parts = append(parts, "settings "+strings.Join(names, ", "))
	}
	return strings.Join(parts, "; ")
}

// textOf returns the text of an error without its code and the names of its operation
// and provider.
func textOf(err error) string {
	var e *fairlead.Error
	if !errors.As(fairlead.Annotate(err, "", ""), &e) {
		return ""
	}
	if e.Message == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Message
}

// ProblemOf returns the finding of a check that failed with err.
func ProblemOf(err error, fix string) []Finding {
	return []Finding{{Status: CheckProblem, Seen: textOf(err), Fix: cmp.Or(fix, usualFix(err))}}
}

// usualFix says what helps against errors of a code.
func usualFix(err error) string {
	switch fairlead.CodeOf(err) {
	case fairlead.PermissionDenied:
		return "correct the user and the password, or let an administrator give the user what is missing"
	case fairlead.Invalid:
		return "correct the URL"
	case fairlead.Unavailable, fairlead.DeadlineExceeded:
		return "see that the backend runs and answers, and read its log"
	case fairlead.Unsupported:
		return "use a version of the backend that the provider's documentation names"
	}
	return "read the log of the backend"
}

// checkOpen opens the provider as a program does.
func (d *diagnosis) checkOpen(ctx context.Context) []Finding {
	p, err := d.scheme.open(ctx, d.rawURL, d.options)
	if err != nil {
		return ProblemOf(err, "")
	}
	d.provider = p
	if d.described, err = p.Describe(ctx); err != nil {
		return ProblemOf(err, "")
	}
	var facets []string
	for _, f := range d.described.Facets {
		facets = append(facets, string(f.Facet))
	}
	return []Finding{{Status: CheckOK, Seen: fmt.Sprintf("the provider %s offers %s", d.described.Provider, cmp.Or(strings.Join(facets, ", "), "no facet"))}}
}

func (d *diagnosis) checkVersion(context.Context) []Finding {
	switch {
	case d.described.Provider == "":
		return []Finding{{Status: CheckNotReached, Seen: "the check open failed"}}
	case d.described.Version == "":
		return []Finding{{Status: CheckNotTold, Seen: "not told by the backend"}}
	}
	return []Finding{{Status: CheckOK, Seen: d.described.Version}}
}
