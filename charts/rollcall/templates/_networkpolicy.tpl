{{/* Who may reach the admin pages: those that are given, and the pod of `helm test`. */}}
{{- define "rollcall.networkPolicy.metricsPeers" -}}
- podSelector:
    matchLabels:
      {{- include "rollcall.selectorLabels" (list . "test") | nindent 6 }}
{{- with .Values.networkPolicy.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}
