package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"fairlead.dev/cmd/fairlead/internal/page"
	"fairlead.dev/conformance"
)

// live serves the page of a run while it goes on. A nil live serves nothing.
type live struct {
	server *http.Server
	run    page.Run
	url    string

	mu     sync.Mutex
	report func() *conformance.Report // nil before the run has a plan
	ended  bool
}

// serveLive begins to serve at an address; nothing if it is empty.
func serveLive(address string, run page.Run, out io.Writer) (*live, error) {
	if address == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return nil, fmt.Errorf("--serve is %q; give a host and a port, for example 127.0.0.1:8080, or 0.0.0.0:8080 for everybody who reaches this machine", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &exitError{fmt.Errorf("%s: --serve: %w", conformance.Undecided, err), exitUndecided}
	}
	l := &live{run: run, url: "http://" + listener.Addr().String() + "/"}
	l.server = &http.Server{Handler: http.HandlerFunc(l.serve), ReadHeaderTimeout: 10 * time.Second}
	go l.server.Serve(listener) //nolint:errcheck // it returns when close is called
	fmt.Fprintln(out, "the page of the run:", l.url)
	return l, nil
}

// show makes the page show the report that the function returns.
func (l *live) show(report func() *conformance.Report) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report = report
}

func (l *live) current() (report func() *conformance.Report, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.report, l.ended
}

// serve answers with the page, or with the report as JSON.
func (l *live) serve(w http.ResponseWriter, r *http.Request) {
	report, ended := l.current()
	if report == nil {
		w.Header().Set("Refresh", "1")
		http.Error(w, "The run has not begun yet.", http.StatusServiceUnavailable)
		return
	}
	run := l.run
	run.Refresh = !ended
	encode, kind := func(r *conformance.Report) ([]byte, error) { return page.Draw(r, run) }, "text/html; charset=utf-8"
	switch r.URL.Path {
	case "/":
	case "/report.json":
		encode, kind = encodeJSON, "application/json"
	default:
		http.NotFound(w, r)
		return
	}
	b, err := encode(report())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // the browser may be gone
}

// keep serves the report of a run that has ended, until the context ends.
func (l *live) keep(ctx context.Context, report *conformance.Report, out io.Writer) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.report, l.ended = func() *conformance.Report { return report }, true
	l.mu.Unlock()
	if ctx.Err() == nil {
		fmt.Fprintln(out, "the page stays at", l.url, "until Ctrl-C")
	}
	<-ctx.Done()
}

// close ends serving.
func (l *live) close() {
	if l != nil {
		_ = l.server.Close()
	}
}
