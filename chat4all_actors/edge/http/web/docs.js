// Shows the server's own OpenAPI document. Nothing is fetched from anywhere else.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  docExpansion: "list",
  // A token that was typed in is gone with the page.
  persistAuthorization: false,
  // The online validator would be told the address of this server.
  validatorUrl: null,
});
