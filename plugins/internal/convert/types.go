package convert

import (
	"errors"
	"strings"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/providers"
)

// FromError returns the message for an error, and nil for nil. The cause does
// not cross; its text does.
func FromError(err error) *pluginpb.Error {
	if err == nil {
		return nil
	}
	var e *providers.Error
	text := err.Error()
	if errors.As(err, &e) {
		bare := *e
		bare.Op, bare.Provider = "", ""
		if text = bare.Message; text == "" && bare.Err != nil {
			text = bare.Err.Error()
		}
	}
	return &pluginpb.Error{Code: pluginpb.Code(providers.CodeOf(err)), Message: strings.ToValidUTF8(text, "\uFFFD")}
}

// ToError returns the error for a message, and nil for nil. A code that is not
// known is Internal.
func ToError(e *pluginpb.Error) error {
	if e == nil {
		return nil
	}
	code := providers.Code(e.Code)
	if e.Code < pluginpb.Code_CODE_NOT_FOUND || e.Code > pluginpb.Code_CODE_INTERNAL {
		code = providers.Internal
	}
	return &providers.Error{Code: code, Message: e.Message}
}

// FromDescription returns the message for a description.
func FromDescription(d providers.Description) *pluginpb.Description {
	return &pluginpb.Description{
		Provider: d.Provider, System: d.System, Version: d.Version, Endpoint: d.Endpoint,
		Generation: d.Generation, Notes: d.Notes, Volatile: d.Volatile,
		Facets: each(d.Facets, fromFacet),
	}
}

func fromFacet(f providers.FacetDescription) *pluginpb.FacetDescription {
	return &pluginpb.FacetDescription{
		Facet:  string(f.Facet),
		Claims: each(f.Claims, func(c providers.Claim) string { return string(c) }),
		Missing: each(f.Missing, func(m providers.Missing) *pluginpb.Missing {
			return &pluginpb.Missing{Claim: string(m.Claim), Reason: m.Reason, Remedy: m.Remedy}
		}),
		Limits: fromLimits(f.Limits),
	}
}

func fromLimits(l providers.Limits) *pluginpb.Limits {
	return &pluginpb.Limits{
		MaxKeyBytes: int64(l.MaxKeyBytes), MaxValueBytes: int64(l.MaxValueBytes), MaxTxnOps: int64(l.MaxTxnOps),
		MaxBatch: int64(l.MaxBatch), Pipelines: int64(l.Pipelines),
		TtlResolutionNanos: int64(l.TTLResolution), MinTtlNanos: int64(l.MinTTL),
		MaxMessageBytes: int64(l.MaxMessageBytes), MinAckDeadlineNanos: int64(l.MinAckDeadline),
		MaxDelayNanos: int64(l.MaxDelay), DedupeWindowNanos: int64(l.DedupeWindow), MaxFrameBytes: int64(l.MaxFrameBytes),
	}
}

// ToDescription returns the description of a message.
func ToDescription(d *pluginpb.Description) providers.Description {
	return providers.Description{
		Provider: d.GetProvider(), System: d.GetSystem(), Version: d.GetVersion(), Endpoint: d.GetEndpoint(),
		Generation: d.GetGeneration(), Notes: d.GetNotes(), Volatile: d.GetVolatile(),
		Facets: each(d.GetFacets(), toFacet),
	}
}

func toFacet(f *pluginpb.FacetDescription) providers.FacetDescription {
	return providers.FacetDescription{
		Facet:  providers.Facet(f.Facet),
		Claims: each(f.Claims, func(c string) providers.Claim { return providers.Claim(c) }),
		Missing: each(f.Missing, func(m *pluginpb.Missing) providers.Missing {
			return providers.Missing{Claim: providers.Claim(m.Claim), Reason: m.Reason, Remedy: m.Remedy}
		}),
		Limits: toLimits(f.Limits),
	}
}

func toLimits(l *pluginpb.Limits) providers.Limits {
	return providers.Limits{
		MaxKeyBytes: int(l.GetMaxKeyBytes()), MaxValueBytes: int(l.GetMaxValueBytes()), MaxTxnOps: int(l.GetMaxTxnOps()),
		MaxBatch: int(l.GetMaxBatch()), Pipelines: int(l.GetPipelines()),
		TTLResolution: time.Duration(l.GetTtlResolutionNanos()), MinTTL: time.Duration(l.GetMinTtlNanos()),
		MaxMessageBytes: int(l.GetMaxMessageBytes()), MinAckDeadline: time.Duration(l.GetMinAckDeadlineNanos()),
		MaxDelay: time.Duration(l.GetMaxDelayNanos()), DedupeWindow: time.Duration(l.GetDedupeWindowNanos()), MaxFrameBytes: int(l.GetMaxFrameBytes()),
	}
}
