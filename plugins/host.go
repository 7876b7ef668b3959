package plugins

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/plugins/internal/remote"
	"fairlead.dev/providers"
)

// schemePrefix makes a URL one of a plugin, even where the scheme is linked in.
const schemePrefix = "plugin+"

// Host finds plugins, runs them and opens providers in them. Its methods may
// be called concurrently.
type Host struct {
	options options
	metrics *metrics

	mu      sync.Mutex
	closed  bool
	plugins map[string]*supervisor
	opened    map[*provider]bool
}

// NewHost returns a host. It starts nothing before a plugin is needed.
func NewHost(opts ...Option) (*Host, error) {
	h := &Host{
		options: defaultOptions(), metrics: newMetrics(),
		plugins: map[string]*supervisor{}, opened: map[*provider]bool{},
	}
	for _, o := range opts {
		if err := o(&h.options); err != nil {
			return nil, fairlead.Annotate(err, "plugins.NewHost", "")
		}
	}
	return h, nil
}

// Open opens a backend in a plugin. The URL's scheme is one that a plugin
// offers, with or without "plugin+" before it; a provider that is linked in is
// not looked at. The URL's settings are checked before the plugin is started.
// One process of each plugin serves all providers that a host opens.
//
// The provider survives the end of the process: a new one is started, in which
// the backend is opened again. Meanwhile calls fail with Unavailable, and
// writes under way with UnknownOutcome. When the provider is closed, and it is
// the last one, the process ends; see [WithIdle].
//
// Errors are those of [fairlead.Open]; and Invalid if there is no such plugin
// or its manifest is wrong, PermissionDenied if its binary is refused (see
// [Installed.Verify]), Unavailable if it does not stay alive: then the error
// holds the last lines that it wrote.
func (h *Host) Open(ctx context.Context, rawURL string, opts ...fairlead.Option) (fairlead.Provider, error) {
	name, _, _ := strings.Cut(rawURL, "://")
	s, found, err := h.findScheme(strings.ToLower(name))
	if err == nil && !found {
		err = notFound(h.pluginFolders(), name)
	}
	if err != nil {
		return nil, fairlead.Annotate(err, "plugins.Open", "")
	}
	p, err := s.OpenURL(ctx, rawURL, opts...)
	return p, fairlead.Annotate(err, "plugins.Open", s.Name)
}

// Resolver lets [fairlead.Open] find plugins: see [providers.RegisterResolver].
func (h *Host) Resolver() providers.Resolver {
	return func(_ context.Context, name string) (providers.Scheme, bool, error) {
		s, found, err := h.findScheme(name)
		if err == nil && !found && strings.HasPrefix(name, schemePrefix) {
			err = notFound(h.pluginFolders(), name)
		}
		return s, found, err
	}
}

// scheme returns the scheme of a plugin, with an Open that uses this host.
func (h *Host) findScheme(name string) (providers.Scheme, bool, error) {
	bare := strings.TrimPrefix(name, schemePrefix)
	found, ok, err := findScheme(h.pluginFolders(), bare)
	if err != nil || !ok {
		return providers.Scheme{}, false, err
	}
	s, _ := found.Scheme(bare)
	s.Open = func(ctx context.Context, settings providers.Settings) (fairlead.Provider, error) {
		return h.openProvider(ctx, found.Name, settings)
	}
	return s, true, nil
}

func (h *Host) pluginFolders() []string {
	if h.options.folders != nil {
		return h.options.folders
	}
	return Folders()
}

// openIn opens a backend in a plugin, or in the process that a debugger runs in
// its place.
func (h *Host) openProvider(ctx context.Context, plugin string, s providers.Settings) (fairlead.Provider, error) {
	debugged, err := reattach(plugin)
	if err != nil {
		return nil, err
	}
	var p *provider
	if debugged != nil {
		p, err = debugged.connect(ctx, func() *pluginpb.OpenRequest { return openRequest(s) }, s.Logger)
	} else {
		p, err = h.openSupervised(ctx, plugin, s)
	}
	if err != nil {
		return nil, err
	}
	if err := h.trackProvider(p); err != nil {
		_ = p.Close(ctx)
		return nil, err
	}
	return p, nil
}

func (h *Host) openSupervised(ctx context.Context, plugin string, s providers.Settings) (*provider, error) {
	sup, err := h.acquireSupervisor(plugin)
	if err != nil {
		return nil, err
	}
	again := false
	open := func(ctx context.Context) (*remote.Session, error) {
		session, err := sup.openSession(ctx, again, func(p *process.Process) (*remote.Session, error) {
			return remote.Dial(ctx, p.Conn(), openRequest(s), h.options.transport == Frames)
		})
		again = again || err == nil
		return session, err
	}
	return newProvider(ctx, open, s.Logger.With("plugin", plugin), sup.releaseUse)
}

// use returns the supervisor of a plugin, in use.
func (h *Host) acquireSupervisor(name string) (*supervisor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	s := h.plugins[name]
	if s == nil {
		s = newSupervisor(name, &h.options, h.metrics, func(ctx context.Context) (*process.Process, error) {
			return h.launch(ctx, name)
		})
		h.plugins[name] = s
	}
	s.acquire()
	return s, nil
}

// keep remembers an open provider, until it is closed.
func (h *Host) trackProvider(p *provider) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.opened[p] = true
	p.untrack = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.opened, p)
	}
	return nil
}

// launch looks the plugin up again: it may have been replaced.
func (h *Host) launch(ctx context.Context, name string) (*process.Process, error) {
	p, err := findName(h.pluginFolders(), name)
	if err == nil {
		err = p.Verify()
	}
	if err != nil {
		return nil, err
	}
	return process.Launch(ctx, process.Spec{
		Name: name, Path: p.Path, Env: pluginEnvironment(p.Env), SocketDir: h.options.socketDir,
		Dial: remote.DialOptions(), Log: h.options.log.With("plugin", name),
	})
}

// request says what to open. The variables that the URL's settings name are
// looked up each time: a secret may have been replaced.
func openRequest(s providers.Settings) *pluginpb.OpenRequest {
	req := &pluginpb.OpenRequest{Url: s.RawURL(), Environment: map[string]string{}}
	if len(req.Url) > len(schemePrefix) && strings.EqualFold(req.Url[:len(schemePrefix)], schemePrefix) {
		req.Url = req.Url[len(schemePrefix):]
	}
	for _, d := range s.Declared() {
		if d.Kind != providers.Env {
			continue
		}
		if v, ok := s.LookupEnv(s.String(d.Name)); ok {
			req.Environment[s.String(d.Name)] = v
		}
	}
	return req
}

// Status returns how the plugins are that the host has opened, by name.
func (h *Host) Status() []Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Status, 0, len(h.plugins))
	for _, s := range h.plugins {
		all = append(all, s.currentStatus())
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Close closes the providers that are still open, and ends all plugins. When it
// returns, no process of the host is left: those that have not ended by
// themselves when the context ends are killed. Calls after the first return nil.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	open := slices.Collect(maps.Keys(h.opened))
	running := slices.Collect(maps.Values(h.plugins))
	h.mu.Unlock()

	errs := make([]error, len(open))
	var wg sync.WaitGroup
	for i, p := range open {
		wg.Go(func() { errs[i] = p.Close(ctx) })
	}
	wg.Wait()
	for _, s := range running {
		wg.Go(func() { s.stopRun(ctx, true) }) // also under an Open that is under way
	}
	wg.Wait()
	return errors.Join(errs...)
}

var errClosed = fairlead.Errorf(fairlead.Closed, "the host of plugins is closed")
