// Package portable is what the portable layers of the facets share: a
// [Handle] that checks requirements and keeps them checked, a [Group] that
// gathers the calls of concurrent callers into driver calls, and [Telemetry].
package portable
