// Swagger UI over /docs/swagger.yaml. It runs under a Content-Security-Policy, so it is a file of its own.
window.ui = window.SwaggerUIBundle({
  url: '/docs/swagger.yaml',
  dom_id: '#swagger-ui',
  deepLinking: true,
  // No validator badge: it would ask a third party.
  validatorUrl: null,
  // The key stays in memory.
  persistAuthorization: false,
})
