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

// schemePrefix begins URLs that are opened in a plugin even where their scheme is
// linked in.
const schemePrefix = "plugin+"

// Host finds plugins, runs them and opens providers in them. Its methods may
// be called concurrently.
type Host struct {
	options options
	metrics *metrics

	mu      sync.Mutex
	closed  bool
	plugins map[string]*supervisor
	opened  map[*provider]bool
}

// NewHost returns a host. The host starts no process until a plugin is needed. The
// error is Invalid if an option is.
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

// Open opens a backend in a plugin. The URL's scheme is one that a plugin offers,
// with or without "plugin+" before it. A provider that is linked in is ignored.
// The URL's settings are checked before the plugin is started. One process of each
// plugin serves all providers that a host opens.
//
// The provider survives the end of the process: the host starts a new process and
// opens the backend in it. Until then calls fail with Unavailable, and writes that
// were in flight with UnknownOutcome. The process ends when the last provider in
// it is closed; see [WithIdle].
//
// The errors are the errors of [fairlead.Open] and these: Invalid if no plugin offers
// the scheme or its manifest is wrong, PermissionDenied if the plugin's binary is
// refused (see [Installed.Verify]), and Unavailable if the plugin does not stay
// alive. In the last case the error holds the last lines that the plugin wrote.
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

// Resolver returns a resolver with which [fairlead.Open] opens plugins of this
// host. See [providers.RegisterResolver].
func (h *Host) Resolver() providers.Resolver {
	return func(_ context.Context, name string) (providers.Scheme, bool, error) {
		s, found, err := h.findScheme(name)
		if err == nil && !found && strings.HasPrefix(name, schemePrefix) {
			err = notFound(h.pluginFolders(), name)
		}
		return s, found, err
	}
}

// findScheme returns the scheme of a plugin. Its Open uses this host.
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

// openProvider opens a backend in a plugin, or in the process that runs in a
// debugger instead; see [ReattachEnv].
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
	reopening := false
	open := func(ctx context.Context) (*remote.Session, error) {
		session, err := sup.openSession(ctx, reopening, func(p *process.Process) (*remote.Session, error) {
			return remote.Dial(ctx, p.Conn(), openRequest(s), h.options.transport == Frames)
		})
		reopening = reopening || err == nil
		return session, err
	}
	return newProvider(ctx, open, s.Logger.With("plugin", plugin), sup.releaseUse)
}

// acquireSupervisor returns the supervisor of a plugin, and counts a use of it.
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

// trackProvider adds a provider to the host's open ones until it is closed.
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

// launch starts a plugin. It looks the plugin up each time: the files may have been
// replaced.
func (h *Host) launch(ctx context.Context, name string) (*process.Process, error) {
	p, err := findName(h.pluginFolders(), name)
	if err != nil {
		return nil, err
	}
	binary, err := p.openVerified()
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	return process.Launch(ctx, process.Spec{
		Name: name, Path: p.Path, Binary: binary, Env: pluginEnvironment(p.Env), SocketDir: h.options.socketDir,
		Dial: remote.DialOptions(), Log: h.options.log.With("plugin", name),
	})
}

// openRequest returns the request that opens a backend. The environment variables
// that the URL's settings name are looked up each time: a secret may have been
// replaced.
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

// Status returns the status of each plugin that the host has used, sorted by name.
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

// Close closes the providers that are still open, and ends all plugins. Plugins
// that have not ended when the context ends are killed: when Close returns, no
// process of the host is left. Later calls return nil.
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
		wg.Go(func() { s.stopRun(ctx, true) }) // also during an Open
	}
	wg.Wait()
	return errors.Join(errs...)
}

var errClosed = fairlead.Errorf(fairlead.Closed, "the plugin host is closed")
