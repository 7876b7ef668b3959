package dapr

import (
	"context"
	"fmt"
	"slices"

	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// http2Preface is how a connection of gRPC begins: with the magic of HTTP/2, and empty
// settings.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// inspection makes the checks of a diagnosis, with a connection of its own.
type inspection struct {
	*provider // not open: it has the configuration and the connection
	trial     providers.Trial
	metadata  *runtimev1.GetMetadataResponse // as of the login
}

// inspect is the Inspect of the scheme.
func inspect(s providers.Settings, t providers.Trial) (providers.Inspection, error) {
	c, err := newConfig(s)
	if err != nil {
		return providers.Inspection{}, err
	}
	i := &inspection{provider: newProvider(c, s.Logger), trial: t}
	return providers.Inspection{
		Hosts: []string{c.host}, TLS: c.tls, Speaks: providers.SpeaksAfter(http2Preface),
		DemandTLS: "use daprs:// instead of dapr://", DemandPlain: "use dapr:// instead of daprs://",
		Checks: []providers.Check{
			{Name: providers.CheckLogin, Essential: true, Run: i.login},
			{Name: "app id", Run: i.checkApp},
			{Name: "components", Run: i.checkComponents},
			{Name: providers.CheckPermissions},
			{Name: providers.CheckClock},
			{Name: providers.CheckVersion, Run: i.checkVersion},
		},
		Limits: []providers.Check{{Name: providers.CheckQuotas}, {Name: providers.CheckEviction}},
		Close:  func() { _ = i.disconnect() },
	}, nil
}

// login asks the sidecar for its metadata, for which it demands the API token.
func (i *inspection) login(ctx context.Context) []providers.Finding {
	err := i.connect()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, i.config.requestTimeout)
		defer cancel()
		i.metadata, err = i.client.GetMetadata(ctx, &runtimev1.GetMetadataRequest{})
	}
	if err != nil {
		err = convertError(err, false)
		fix := "see that the port is the one of --dapr-grpc-port, and read the sidecar's log"
		if fairlead.CodeOf(err) == fairlead.PermissionDenied {
			fix = "give the sidecar's API token (APP_API_TOKEN is another one) as :TOKEN@, or with \"password-env\" or \"password-file\""
		}
		return providers.ProblemOf(err, fix)
	}
	return []providers.Finding{{Status: providers.CheckOK, Seen: "the sidecar answers"}}
}

func (i *inspection) checkApp(context.Context) []providers.Finding {
	f := providers.Finding{Status: providers.CheckOK, Seen: i.metadata.GetId()}
	if app := i.metadata.GetAppConnectionProperties(); app.GetPort() > 0 {
		f.Seen += fmt.Sprintf("; the program itself serves on port %d", app.GetPort())
	}
	if i.metadata.GetId() == "" {
		f.Status, f.Seen, f.Fix = providers.CheckProblem, "the sidecar has no app id", "start it with --app-id"
	}
	return []providers.Finding{f}
}

// checkComponents says which components the provider would use, and which facets have
// none.
func (i *inspection) checkComponents(context.Context) (found []providers.Finding) {
	for _, facet := range fairlead.Facets() {
		if kinds[facet] == "" || i.config.components[facet] == none || !slices.Contains(i.trial.Facets, facet) {
			continue
		}
		c, ok, err := chooseComponent(i.metadata.GetRegisteredComponents(), facet, i.config.components[facet])
		f := providers.Finding{Status: providers.CheckOK, Subject: string(facet), Seen: c.name + ", " + c.kind}
		switch {
		case err != nil:
			f = providers.ProblemOf(err, "name a component of the sidecar with the setting \""+settingNames[facet]+"\"")[0]
			f.Subject = string(facet)
		case !ok:
			f.Status, f.Seen = providers.CheckWarning, "the sidecar has no component of the type "+kinds[facet]+"*: the facet is not offered"
			f.Fix = "add one to the folder of --resources-path"
		case c.inMemory():
			f.Status, f.Fix = providers.CheckWarning, "use a component that stores its data"
			f.Seen += ": its data is lost with the sidecar"
		}
		found = append(found, f)
	}
	return found
}

func (i *inspection) checkVersion(context.Context) []providers.Finding {
	version := i.metadata.GetRuntimeVersion()
	if version == "" {
		return []providers.Finding{{Status: providers.CheckNotTold, Seen: "not told by the sidecar"}}
	}
	return []providers.Finding{{Status: providers.CheckOK, Seen: "Dapr " + version + "; the provider is tested with 1.18"}}
}
