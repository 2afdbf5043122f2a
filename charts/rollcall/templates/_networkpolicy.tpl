{{/* Who may reach the admin pages: those that are given, and the pod of `helm test`. */}}
{{- define "rollcall.networkPolicy.metricsPeers" -}}
- podSelector:
    matchLabels:
      {{- include "rollcall.selectorLabels" (list . "test") | nindent 6 }}
{{- with .Values.networkPolicy.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The ports of these URLs, each once, as a YAML list. */}}
{{- define "rollcall.networkPolicy.ports" -}}
{{- $ports := list }}
{{- range . }}
{{- $ports = append $ports (trimSuffix "/" . | splitList ":" | last | int) }}
{{- end }}
{{- toYaml (uniq $ports) }}
{{- end }}
